/* SPDX-License-Identifier: Apache-2.0 */
/* files.h: the two files of a folder, each read and written in whole, and what
 * they say of each other and of the machine. */
#ifndef QCD_STORE_FILES_H
#define QCD_STORE_FILES_H

#include "secrets.h"

/* files_clean removes what killed processes left.  The lock must be held: a
 * temporary file is that of a dead process only then. */
QCD_NODISCARD enum qcd_store_err files_clean(qcd_store_report *report,
                                             const folder *dir);

/* files_read_secrets reads the secrets.  Where they are missing the result is
 * OK and `out` all zero, on error too. */
QCD_NODISCARD enum qcd_store_err files_read_secrets(qcd_secrets *out,
                                                    qcd_store_report *report,
                                                    const folder *dir);

/* files_write_secrets makes the secrets durable. */
QCD_NODISCARD enum qcd_store_err
files_write_secrets(qcd_store_report *report, const folder *dir,
                    const qcd_secrets *secrets);

/* run_state is whether the run file says which runs of a key are over. */
enum run_state {
    RUN_MISSING = 0,
    RUN_DAMAGED,
    RUN_OF_OTHERS,       /* of other secrets */
    RUN_COPIED,          /* it is a copy of the file that was written */
    RUN_ELSEWHERE,       /* it was written on another machine */
    RUN_FROM_NO_MACHINE, /* written before there was a birth, on any machine */
    RUN_KNOWN
};

/* files_read_run reads the last run that was started with the key of `secrets`,
 * and tells whether it was in this folder on this `machine`.  A damaged file is
 * no error.  Where no run of the key is known `out` is all zero, on error
 * too. */
QCD_NODISCARD enum qcd_store_err
files_read_run(run_record *out, enum run_state *out_state,
               qcd_store_report *report, const folder *dir,
               const qcd_secrets *secrets, const identity_print *machine);

/* files_write_run makes `record` durable, as one of the key of `secrets`. */
QCD_NODISCARD enum qcd_store_err files_write_run(qcd_store_report *report,
                                                 const folder *dir,
                                                 const qcd_secrets *secrets,
                                                 const run_record *record);

#endif
