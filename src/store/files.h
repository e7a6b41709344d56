/* SPDX-License-Identifier: Apache-2.0 */
/* files.h: the two files of a folder, each read and written as a whole, and
 * what they say of each other and of the machine. */
#ifndef QCD_STORE_FILES_H
#define QCD_STORE_FILES_H

#include "secrets.h"

/* files_clean removes what killed processes left.  The caller must hold the
 * lock: only then does a temporary file belong to a dead process. */
QCD_NODISCARD enum qcd_store_err files_clean(qcd_store_report *report,
                                             const folder *dir);

/* files_read_secrets reads the secrets.  If they are missing, the result is OK
 * and `out` is all zero.  On error `out` is all zero too. */
QCD_NODISCARD enum qcd_store_err files_read_secrets(qcd_secrets *out,
                                                    qcd_store_report *report,
                                                    const folder *dir);

/* files_write_secrets makes the secrets durable. */
QCD_NODISCARD enum qcd_store_err
files_write_secrets(qcd_store_report *report, const folder *dir,
                    const qcd_secrets *secrets);

/* run_state tells whether the run file says which runs of a key are over. */
enum run_state {
    RUN_MISSING = 0,
    RUN_DAMAGED,
    RUN_OF_OTHERS,       /* belongs to other secrets */
    RUN_COPIED,          /* is a copy of the file that was written */
    RUN_ELSEWHERE,       /* was written on another machine */
    RUN_FROM_NO_MACHINE, /* written on any machine, without a birth */
    RUN_KNOWN
};

/* files_read_run reads the last run that was started with the key of `secrets`.
 * It tells whether that was in this folder on this `machine`.  A damaged file
 * is not an error.  If no run of the key is known, `out` is all zero.  On error
 * `out` is all zero too. */
QCD_NODISCARD enum qcd_store_err
files_read_run(run_record *out, enum run_state *out_state,
               qcd_store_report *report, const folder *dir,
               const qcd_secrets *secrets, const identity_print *machine);

/* files_write_run makes `record` durable, as a run of the key of `secrets`. */
QCD_NODISCARD enum qcd_store_err files_write_run(qcd_store_report *report,
                                                 const folder *dir,
                                                 const qcd_secrets *secrets,
                                                 const run_record *record);

#endif
