/* SPDX-License-Identifier: Apache-2.0 */
/* files.h: the two files of a folder, each read and written in whole. */
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

/* files_read_run reads the last run that was started with the key of `secrets`.
 * Where none is known the result is OK and `out` all zero, on error too. */
QCD_NODISCARD enum qcd_store_err files_read_run(run_record *out,
                                                qcd_store_report *report,
                                                const folder *dir,
                                                const qcd_secrets *secrets);

/* files_write_run makes durable that `run` of `node` is started with the key of
 * `secrets`. */
QCD_NODISCARD enum qcd_store_err files_write_run(qcd_store_report *report,
                                                 const folder *dir,
                                                 const qcd_secrets *secrets,
                                                 uint16_t run, uint16_t node);

#endif
