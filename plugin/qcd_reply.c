/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_reply.h"

/*
 * Described in header
 */
bool qcd_rank_is_home(qcd_rank_t rank)
{
	return rank == QCD_RANK_HOME || rank == QCD_RANK_AGAIN;
}

/*
 * Described in header
 */
qcd_reply_t *qcd_reply_create(const qcd_ike_sa *sa, host_t *src, host_t *dst)
{
	qcd_reply_t *reply;

	INIT(reply,
		.spis = sa->spis,
		.ours = *qcd_ike_sa_local(sa),
		.src = src->clone(src),
		.dst = dst->clone(dst),
		.rank = QCD_RANK_UNKNOWN,
		.created = qcd_now(),
	);
	return reply;
}

/*
 * Described in header
 */
void qcd_reply_destroy(qcd_reply_t *reply)
{
	reply->src->destroy(reply->src);
	reply->dst->destroy(reply->dst);
	free(reply);
}
