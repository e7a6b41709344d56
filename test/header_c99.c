/* SPDX-License-Identifier: Apache-2.0 */
/* header_c99.c: the installed header, alone, as strict C99. */
#include <qcd/qcd.h>

#ifndef QCD_QCD_H
#error "the header has no guard"
#endif
#include <qcd/qcd.h>

int main(void)
{
    return qcd_strerror(QCD_OK) != 0 ? 0 : 1;
}
