/* SPDX-License-Identifier: Apache-2.0 */
/* header_cxx.cc: the installed headers, alone, as C++; they link to C. */
#include <qcd/qcd.h>
#include <qcd/store.h>
#ifdef HAVE_WATCH
#include <qcd/watch.h>
#endif

int main()
{
    qcd_held held = qcd_held();
    qcd_taker taker = qcd_taker();
    qcd_message message = qcd_message();

    qcd_store_close(nullptr);
    qcd_samap_close(nullptr);
#ifdef HAVE_WATCH
    qcd_watch_close(nullptr);
#endif
    return qcd_taker_check(&taker, &held, &message) == QCD_NO_MATCH ? 0 : 1;
}
