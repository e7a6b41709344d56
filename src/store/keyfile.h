/* SPDX-License-Identifier: Apache-2.0 */
/* keyfile.h: one small file with secrets, read with suspicion, and replaced so
 * that a crash at any point leaves either the old file or the new one.
 *
 *   octets  field
 *   8       magic, different for each kind of file
 *   2       version of the body
 *   4       length of the body
 *   n       body
 *   32      SHA-256 of all before: against damage, not against an attacker, who
 *           cannot write to the folder
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

/* keyfile_kind describes one file. */
typedef struct keyfile_kind {
    const char *name;       /* in the folder */
    const char *tmp_name;   /* of the file that will replace it */
    const char *old_name;   /* of a file that was set aside */
    const char *magic;      /* KEYFILE_MAGIC_LEN characters */
    uint16_t version;       /* the newest that we understand; 1 is the first */
    uint16_t birth_version; /* from this version on a body starts with BIRTH_LEN
                             * octets for the birth of its file; 0: never */
    const char *exposure; /* what others may have done if it was open to them */
    const char *remedy;   /* what to do if it is damaged, and the effect */
} keyfile_kind;

/* keyfile_origin tells what the birth in a file says of it. */
enum keyfile_origin {
    KEYFILE_UNTOLD = 0, /* no birth */
    KEYFILE_OWN = 1,    /* the file that was written */
    KEYFILE_COPY = 2
};

/* keyfile_body is the content of a file; wipe it after use.  A file always has
 * content: `len` 0 stands for a missing file.  `origin` is what keyfile_read
 * found. */
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
 *   QCD_STORE_ERR_DAMAGED  magic, length or checksum are wrong, or there is no
 *                          content
 *   QCD_STORE_ERR_VERSION  undamaged, but newer than `kind` */
QCD_NODISCARD enum qcd_store_err keyfile_decode(keyfile_body *out,
                                                const keyfile_kind *kind,
                                                const uint8_t *in,
                                                size_t in_len);

/* keyfile_read reads the file of `kind` in `dir`.  It must be a regular file
 * that belongs to the folder's user and is closed to all others.  If it is
 * missing, the result is OK and `out` is all zero.  On error `out` is all zero
 * too. */
QCD_NODISCARD enum qcd_store_err keyfile_read(keyfile_body *out,
                                              qcd_store_report *report,
                                              const folder *dir,
                                              const keyfile_kind *kind);

/* keyfile_replace writes `body` in place of the file of `kind`, or as the first
 * one.  If the kind has a birth, it is that of the new file.  On error the old
 * content is still there, with one exception.  The very last step makes the new
 * name durable.  If it fails, the new content is there, and a loss of power may
 * bring back the old one. */
QCD_NODISCARD enum qcd_store_err keyfile_replace(qcd_store_report *report,
                                                 const folder *dir,
                                                 const keyfile_kind *kind,
                                                 const keyfile_body *body);

/* keyfile_clean removes what a process that was killed in keyfile_replace
 * left. */
QCD_NODISCARD enum qcd_store_err keyfile_clean(qcd_store_report *report,
                                               const folder *dir,
                                               const keyfile_kind *kind);

/* keyfile_set_aside renames the file of `kind` to `to`, and replaces a file of
 * that name.  A missing file is not an error. */
QCD_NODISCARD enum qcd_store_err keyfile_set_aside(qcd_store_report *report,
                                                   const folder *dir,
                                                   const keyfile_kind *kind,
                                                   const char *to);

/* keyfile_damaged reports that the content of a file makes no sense. */
enum qcd_store_err keyfile_damaged(qcd_store_report *report, const folder *dir,
                                   const keyfile_kind *kind);

#endif
