/* SPDX-License-Identifier: Apache-2.0 */
/* samap_check.h: whether the SA map is damaged, found out by a child process:
 * LMDB trusts its file, and a bad one makes it read or write anywhere. */
#ifndef QCD_STORE_SAMAP_CHECK_H
#define QCD_STORE_SAMAP_CHECK_H

#include <qcd/qcd.h>

enum samap_verdict {
    SAMAP_DAMAGED = 0, /* also where the child crashed, or took too long */
    SAMAP_GOOD = 1,
    SAMAP_NEWER = 2 /* of a newer version */
};

/* The longest that samap_check takes, nearly all of it where a disk hangs. */
#define SAMAP_CHECK_MS 30000

/* samap_check looks at the map in the file `path`, which nobody has open.  It
 * returns 0 or an errno value where it could not, with SAMAP_DAMAGED: EINTR
 * where somebody has killed the child.
 *
 * Other children of this process are left alone.  Its SIGCHLD may have a
 * handler, be blocked or be ignored; a handler that reaps any child may reap
 * this one. */
QCD_NODISCARD int samap_check(enum samap_verdict *out, const char *path);

/* samap_look is what the child does. */
QCD_NODISCARD int samap_look(enum samap_verdict *out, const char *path);

#endif
