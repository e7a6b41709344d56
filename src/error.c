/* SPDX-License-Identifier: Apache-2.0 */
/* error.c: errors in words. */
#include <qcd/qcd.h>

const char *qcd_strerror(enum qcd_err err)
{
    switch (err) {
    case QCD_OK:
        return "success";
    case QCD_ERR_TRUNCATED:
        return "message ends too early";
    case QCD_ERR_MALFORMED:
        return "malformed message";
    case QCD_ERR_NOBUF:
        return "buffer too small";
    case QCD_ERR_RANGE:
        return "value out of range";
    case QCD_ERR_EXHAUSTED:
        return "SPIs of this run used up";
    }
    return "unknown error";
}
