/* SPDX-License-Identifier: Apache-2.0 */
/* ike_sa.c: which SPI of an IKE SA is ours. */
#include <qcd/qcd.h>

const qcd_spi *qcd_ike_sa_local(const qcd_ike_sa *sa)
{
    return sa->role == QCD_INITIATOR ? &sa->spis.initiator
                                     : &sa->spis.responder;
}

const qcd_spi *qcd_ike_sa_remote(const qcd_ike_sa *sa)
{
    return sa->role == QCD_INITIATOR ? &sa->spis.responder
                                     : &sa->spis.initiator;
}
