/* SPDX-License-Identifier: Apache-2.0 */
/* store.h: what a token maker must find again after a crash: its secrets and
 * the number of its run (RFC 6290 sections 1.1 and 5.1), in one folder.
 *
 *   secrets  the sealing key of the SPIs and up to four generations of
 *            QCD_SECRET; made once, written anew only by an explicit change
 *   run      the number of the last run that was started
 *   lock     held by the one process that uses the folder; two daemons on one
 *            folder would each take the other's SAs for dead
 *
 * The folder is 0700 and the files are 0600, all owned by the effective user.
 * A file that is damaged, too open, of another owner, of a newer version or no
 * regular file is an error that names it: it is neither used nor overwritten.
 * Files are replaced by a temporary file, fsync, rename and fsync of the
 * folder, so that a crash at any point leaves the old or the new one. */
#ifndef QCD_STORE_H
#define QCD_STORE_H

#include <qcd/qcd.h>

/* qcd_store_err is what can go wrong; qcd_store_report has the sentence. */
enum qcd_store_err {
    QCD_STORE_OK = 0,
    QCD_STORE_ERR_SYSTEM = -1,    /* the system refused: no right, disk full */
    QCD_STORE_ERR_UNSAFE = -2,    /* too open, of another owner, not regular */
    QCD_STORE_ERR_DAMAGED = -3,   /* checksum, size or magic are wrong */
    QCD_STORE_ERR_VERSION = -4,   /* written by a newer version */
    QCD_STORE_ERR_BUSY = -5,      /* another process uses the folder */
    QCD_STORE_ERR_EXHAUSTED = -6, /* run numbers have run out */
};

/* qcd_store_report is a sentence for the administrator: it names the file and
 * says what is wrong and what to do.  It never has a secret in it.  On success
 * `text` is empty, or tells what was done on the way (secrets made anew, run
 * number lost and SPIs sealed with a new key). */
typedef struct qcd_store_report {
    char text[512];
} qcd_store_report;

/* qcd_secrets is the content of the secrets file. */
typedef struct qcd_secrets {
    uint8_t seal_key[QCD_SEAL_KEY_LEN];
    size_t num_generations;                      /* 1 to QCD_GENERATIONS_MAX */
    qcd_secret generations[QCD_GENERATIONS_MAX]; /* newest first */
    uint64_t made_at[QCD_GENERATIONS_MAX];       /* seconds since 1970 */
} qcd_secrets;

/* qcd_store is an open folder.  One thread at a time. */
typedef struct qcd_store qcd_store;

/* qcd_store_open opens the folder `path`, makes it (and missing parents, 0755)
 * where it is missing, takes the lock, reads the secrets or makes the first
 * ones, starts the next run and makes its number durable.  `now` is in seconds
 * since 1970.  On success the caller owns `*out`; on error `*out` is NULL and
 * nothing of use that was in the folder is lost: at most a number is skipped.
 *
 * `path` is absolute and its last part no symbolic link.  The folder that it
 * stands in is root's or ours, and others cannot write to it (or only with the
 * sticky bit, as in /tmp).
 *
 * Where the secrets are there and the run number is missing, or where the
 * numbers have run out (65535 starts), no one can say which runs are over: the
 * SPIs get a new sealing key and runs start at 1 again.  SAs that were sealed
 * with the old key are answered with silence from then on. */
QCD_NODISCARD enum qcd_store_err qcd_store_open(qcd_store **out,
                                                qcd_store_report *report,
                                                const char *path, uint64_t now);

/* qcd_store_close releases the lock, wipes the secrets and frees `store`, which
 * may be NULL. */
void qcd_store_close(qcd_store *store);

/* qcd_store_secrets returns the secrets, owned by `store`. */
const qcd_secrets *qcd_store_secrets(const qcd_store *store);

/* qcd_store_run returns the number of the current run, 1 to 65535. */
uint16_t qcd_store_run(const qcd_store *store);

/* qcd_store_next_run starts another run of this process and makes its number
 * durable before it returns.  On error the run stays what it was.
 *
 *   QCD_STORE_ERR_EXHAUSTED  65535 is in use
 *   QCD_STORE_ERR_SYSTEM     it could not be written */
QCD_NODISCARD enum qcd_store_err qcd_store_next_run(qcd_store *store,
                                                    qcd_store_report *report);

#endif
