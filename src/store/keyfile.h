/* SPDX-License-Identifier: Apache-2.0 */
/* keyfile.h: one small file with secrets, read with suspicion and replaced so
 * that a crash at any point leaves the old or the new one.
 *
 *   octets  field
 *   8       magic, another one for each kind of file
 *   2       version of the body
 *   4       length of the body
 *   n       body
 *   32      SHA-256 of all before: against damage, not against an attacker,
 *           who cannot write to the folder
 *
 * Numbers are big-endian.  This frame is the same in all versions, so that a
 * newer file can be told from a damaged one. */
#ifndef QCD_STORE_KEYFILE_H
#define QCD_STORE_KEYFILE_H

#include "birth.h"
#include "folder.h"

#define KEYFILE_MAGIC_LEN 8
#define KEYFILE_BODY_MAX 4096
#define KEYFILE_FRAME_LEN (KEYFILE_MAGIC_LEN + 2 + 4 + 32)
#define KEYFILE_MAX (KEYFILE_FRAME_LEN + KEYFILE_BODY_MAX)

/* keyfile_kind is what is particular to one file. */
typedef struct keyfile_kind {
    const char *name;       /* in the folder */
    const char *tmp_name;   /* of the file that will replace it */
    const char *old_name;   /* of one that was set aside */
    const char *magic;      /* KEYFILE_MAGIC_LEN characters */
    uint16_t version;       /* the newest that is understood; 1 is the first */
    uint16_t birth_version; /* from which on a body begins with BIRTH_LEN octets
                             * for the birth of its file; 0: never */
    const char *exposure; /* what others may have done if it was open to them */
    const char *remedy;   /* what to do about a damaged one, and what follows */
} keyfile_kind;

/* keyfile_origin is what the birth in a file says of it. */
enum keyfile_origin {
    KEYFILE_UNTOLD = 0, /* it has none */
    KEYFILE_OWN = 1,    /* it is the file that was written */
    KEYFILE_COPY = 2
};

/* keyfile_body is the content of a file; wipe it after use.  A file is never
 * without content: `len` 0 stands for a missing one.  `origin` is what
 * keyfile_read found. */
typedef struct keyfile_body {
    enum keyfile_origin origin;
    uint16_t version;
    size_t len;
    uint8_t octets[KEYFILE_BODY_MAX];
} keyfile_body;

/* keyfile_encode writes the frame around `body` and returns its length. */
size_t keyfile_encode(uint8_t out[KEYFILE_MAX], const keyfile_kind *kind,
                      const keyfile_body *body);

/* keyfile_decode reads the frame in the `in_len` octets at `in`.  On error
 * `out` is all zero.
 *
 *   QCD_STORE_ERR_DAMAGED  magic, length or checksum are wrong, or no content
 *   QCD_STORE_ERR_VERSION  undamaged, but newer than `kind` */
QCD_NODISCARD enum qcd_store_err keyfile_decode(keyfile_body *out,
                                                const keyfile_kind *kind,
                                                const uint8_t *in,
                                                size_t in_len);

/* keyfile_read reads the file of `kind` in `dir`.  It must be a regular file
 * of the folder's user that is closed to all others.  Where it is missing the
 * result is OK and `out` all zero, on error too. */
QCD_NODISCARD enum qcd_store_err keyfile_read(keyfile_body *out,
                                              qcd_store_report *report,
                                              const folder *dir,
                                              const keyfile_kind *kind);

/* keyfile_replace writes `body` in place of the file of `kind`, or as the first
 * one, with the birth of the new file where the kind has it.  On error the old
 * content is there as before, with one exception: where the very last step
 * failed, to make the new name durable, it is the new one that is there, and a
 * loss of power may bring back the old one. */
QCD_NODISCARD enum qcd_store_err keyfile_replace(qcd_store_report *report,
                                                 const folder *dir,
                                                 const keyfile_kind *kind,
                                                 const keyfile_body *body);

/* keyfile_clean removes what a process left that was killed in
 * keyfile_replace. */
QCD_NODISCARD enum qcd_store_err keyfile_clean(qcd_store_report *report,
                                               const folder *dir,
                                               const keyfile_kind *kind);

/* keyfile_set_aside gives the file of `kind` the name `to`, in the place of one
 * that had it.  A missing one is no error. */
QCD_NODISCARD enum qcd_store_err keyfile_set_aside(qcd_store_report *report,
                                                   const folder *dir,
                                                   const keyfile_kind *kind,
                                                   const char *to);

/* keyfile_damaged reports that the content of a file makes no sense. */
enum qcd_store_err keyfile_damaged(qcd_store_report *report, const folder *dir,
                                   const keyfile_kind *kind);

#endif
