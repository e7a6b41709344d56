/* SPDX-License-Identifier: Apache-2.0 */
/* header_cxx.cc: the installed header, alone, as C++; it links to C. */
#include <qcd/qcd.h>

int main()
{
    qcd_held held = qcd_held();
    qcd_taker taker = qcd_taker();
    qcd_message message = qcd_message();

    return qcd_taker_check(&taker, &held, &message) == QCD_NO_MATCH ? 0 : 1;
}
