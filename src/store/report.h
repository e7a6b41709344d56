/* SPDX-License-Identifier: Apache-2.0 */
/* report.h: sentences for the administrator: which file, what is wrong with it,
 * what to do. */
#ifndef QCD_STORE_REPORT_H
#define QCD_STORE_REPORT_H

#include <qcd/store.h>

/* report_say writes a sentence and returns `err`: what went wrong, or with
 * QCD_STORE_OK what was done on the way to success. */
__attribute__((format(printf, 3, 4))) enum qcd_store_err
report_say(qcd_store_report *report, enum qcd_store_err err, const char *format,
           ...);

/* report_system says that we cannot do what `format` says ("write /a/b"), why
 * (the errno value `why`) and what to do.  It returns QCD_STORE_ERR_SYSTEM. */
__attribute__((format(printf, 3, 4))) enum qcd_store_err
report_system(qcd_store_report *report, int why, const char *format, ...);

#endif
