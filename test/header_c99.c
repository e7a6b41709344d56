/* SPDX-License-Identifier: Apache-2.0 */
/* header_c99.c: the installed headers, alone and twice, as strict C99. */
#include <qcd/store.h>
#ifdef HAVE_WATCH
#include <qcd/watch.h>
#endif
#include <qcd/qcd.h>

#if !defined(QCD_QCD_H) || !defined(QCD_STORE_H)
#error "a header has no guard"
#endif
#include <qcd/qcd.h>
#include <qcd/store.h>

int main(void)
{
    qcd_store_close(0);
    qcd_samap_close(0);
#ifdef HAVE_WATCH
    qcd_watch_close(0);
#endif
    qcd_wipe(0, 0);
    return QCD_OK;
}
