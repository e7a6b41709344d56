/* SPDX-License-Identifier: Apache-2.0 */
/* report.h: sentences for the administrator: which file, what is wrong with it,
 * what to do. */
#ifndef QCD_STORE_REPORT_H
#define QCD_STORE_REPORT_H

#include <qcd/store.h>

/* report_note says what was done on the way to success. */
__attribute__((format(printf, 2, 3))) void report_note(qcd_store_report *report,
                                                       const char *format, ...);

/* report_add appends a sentence to what is there. */
void report_add(qcd_store_report *report, const char *sentence);

/* report_fail writes a sentence and returns `err`. */
__attribute__((format(printf, 3, 4))) enum qcd_store_err
report_fail(qcd_store_report *report, enum qcd_store_err err,
            const char *format, ...);

/* report_system says that we cannot do what `format` says ("write /a/b"), why
 * (the errno value `why`) and what to do.  It returns QCD_STORE_ERR_SYSTEM. */
__attribute__((format(printf, 3, 4))) enum qcd_store_err
report_system(qcd_store_report *report, int why, const char *format, ...);

#endif
