/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_doubts qcd_doubts
 * @{ @ingroup qcd
 */

#ifndef QCD_DOUBTS_H_
#define QCD_DOUBTS_H_

#include "qcd_sa.h"

#include <collections/linked_list.h>

typedef struct qcd_doubts_t qcd_doubts_t;

/**
 * The IKE_SAs with a peer that were up when it was last proved that it has lost
 * one. It may have lost each of them, until it responds on that one. Not
 * thread-safe.
 */
struct qcd_doubts_t {

	/**
	 * Note that the peer has lost an IKE_SA. All others that are up are doubtful
	 * from now on, also those that it has confirmed: it may have crashed since.
	 *
	 * @param unique_id		unique ID of the IKE_SA
	 * @param sas			IKE_SAs that are up, as qcd_sa_t
	 */
	void (*note_lost)(qcd_doubts_t *this, uint32_t unique_id,
					  linked_list_t *sas);

	/**
	 * Note that we delete an IKE_SA ourselves. That says nothing about the others.
	 *
	 * @param unique_id		unique ID of the IKE_SA
	 */
	void (*note_deleted)(qcd_doubts_t *this, uint32_t unique_id);

	/**
	 * Tell whether the peer has lost an IKE_SA, or we delete it.
	 *
	 * @param unique_id		unique ID of the IKE_SA
	 */
	bool (*is_gone)(qcd_doubts_t *this, uint32_t unique_id);

	/**
	 * Tell whether the peer may have lost an IKE_SA. It is no longer doubtful if
	 * the peer was asked and has responded.
	 *
	 * @param unique_id		unique ID of the IKE_SA
	 * @param busy			TRUE if a response may be outstanding
	 */
	bool (*is_doubtful)(qcd_doubts_t *this, uint32_t unique_id, bool busy);

	/**
	 * Tell whether the peer has to be asked about an IKE_SA, which the caller
	 * then does: once about each doubtful one.
	 *
	 * @param unique_id		unique ID of the IKE_SA
	 */
	bool (*take_question)(qcd_doubts_t *this, uint32_t unique_id);

	/**
	 * Destroy a qcd_doubts_t.
	 */
	void (*destroy)(qcd_doubts_t *this);
};

/**
 * Create a qcd_doubts_t, without any doubt.
 *
 * @return				instance
 */
qcd_doubts_t *qcd_doubts_create(void);

#endif /** QCD_DOUBTS_H_ @}*/
