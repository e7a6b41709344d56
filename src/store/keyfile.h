/* SPDX-License-Identifier: Apache-2.0 */
/* keyfile.h: one small file with secrets, read and written as a whole.
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
 * newer file can be told from a damaged one.
 *
 * A body may start with what a file can record of itself that no copy shares,
 * its birth: its inode and the time at which the inode was made.  A rename
 * keeps both, so a file is written with its own birth in it before it gets its
 * name.  A copy, a restored backup and a file unpacked from an image have
 * another birth.
 *
 *   octets  field
 *   8       inode
 *   1       1 if the file system knows the time, else 0
 *   8       seconds since 1970
 *   4       nanoseconds */
#ifndef QCD_STORE_KEYFILE_H
#define QCD_STORE_KEYFILE_H

#include "file.h"

#define KEYFILE_MAGIC_LEN 8
#define KEYFILE_BIRTH_LEN (8 + 1 + 8 + 4)
#define KEYFILE_BODY_MAX 4096
#define KEYFILE_FRAME_LEN (KEYFILE_MAGIC_LEN + 2 + 4 + 32)
#define KEYFILE_MAX (KEYFILE_FRAME_LEN + KEYFILE_BODY_MAX)

/* keyfile_kind describes one file. */
typedef struct keyfile_kind {
    file_kind file;
    const char *magic;      /* KEYFILE_MAGIC_LEN characters */
    uint16_t version;       /* the newest that we understand; 1 is the first */
    uint16_t birth_version; /* from this version on a body starts with a birth;
                             * 0: never */
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

/* keyfile_read reads the file of `kind` in `dir`.  If it is missing, the result
 * is OK and `out` is all zero.  On error `out` is all zero too. */
QCD_NODISCARD enum qcd_store_err keyfile_read(keyfile_body *out,
                                              qcd_store_report *report,
                                              const folder *dir,
                                              const keyfile_kind *kind);

/* keyfile_replace writes `body` in place of the file of `kind`, or as the first
 * one.  If the kind has a birth, it is that of the new file.  For errors see
 * file_finish. */
QCD_NODISCARD enum qcd_store_err keyfile_replace(qcd_store_report *report,
                                                 const folder *dir,
                                                 const keyfile_kind *kind,
                                                 const keyfile_body *body);

/* keyfile_damaged reports that the content of a file makes no sense. */
enum qcd_store_err keyfile_damaged(qcd_store_report *report, const folder *dir,
                                   const keyfile_kind *kind);

/* keyfile_digest makes the first `out_len` octets of SHA-256 over `label` and
 * the octets at `in`. */
void keyfile_digest(uint8_t *out, size_t out_len, const char *label,
                    const uint8_t *in, size_t in_len);

#endif
