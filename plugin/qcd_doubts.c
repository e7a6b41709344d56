/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_doubts.h"

typedef struct private_qcd_doubts_t private_qcd_doubts_t;

/**
 * Private data
 */
struct private_qcd_doubts_t {

	/**
	 * Public interface
	 */
	qcd_doubts_t public;

	/**
	 * The IKE_SAs, as doubt_t
	 */
	linked_list_t *doubts;
};

/**
 * An IKE_SA: whether the peer has lost it or we delete it, and whether the peer
 * was asked
 */
typedef struct {
	uint32_t unique_id;
	bool gone;
	bool asked;
} doubt_t;

/**
 * Find an IKE_SA
 *
 * @return				internal doubt, NULL if there is none
 */
static doubt_t *find(private_qcd_doubts_t *this, uint32_t unique_id)
{
	enumerator_t *enumerator;
	doubt_t *doubt, *found = NULL;

	enumerator = this->doubts->create_enumerator(this->doubts);
	while (!found && enumerator->enumerate(enumerator, &doubt))
	{
		found = doubt->unique_id == unique_id ? doubt : NULL;
	}
	enumerator->destroy(enumerator);
	return found;
}

/**
 * Get an IKE_SA, adding it if necessary
 */
static doubt_t *get(private_qcd_doubts_t *this, uint32_t unique_id)
{
	doubt_t *doubt = find(this, unique_id);

	if (!doubt)
	{
		INIT(doubt,
			.unique_id = unique_id,
		);
		this->doubts->insert_last(this->doubts, doubt);
	}
	return doubt;
}

/**
 * Forget all IKE_SAs but those that are gone
 */
static void forget_doubtful(private_qcd_doubts_t *this)
{
	enumerator_t *enumerator;
	doubt_t *doubt;

	enumerator = this->doubts->create_enumerator(this->doubts);
	while (enumerator->enumerate(enumerator, &doubt))
	{
		if (!doubt->gone)
		{
			this->doubts->remove_at(this->doubts, enumerator);
			free(doubt);
		}
	}
	enumerator->destroy(enumerator);
}

METHOD(qcd_doubts_t, note_deleted, void,
	private_qcd_doubts_t *this, uint32_t unique_id)
{
	get(this, unique_id)->gone = TRUE;
}

METHOD(qcd_doubts_t, note_lost, void,
	private_qcd_doubts_t *this, uint32_t unique_id, linked_list_t *sas)
{
	enumerator_t *enumerator;
	qcd_sa_t *sa;

	get(this, unique_id)->gone = TRUE;
	forget_doubtful(this);
	enumerator = sas->create_enumerator(sas);
	while (enumerator->enumerate(enumerator, &sa))
	{
		get(this, sa->unique_id);
	}
	enumerator->destroy(enumerator);
}

METHOD(qcd_doubts_t, is_gone, bool,
	private_qcd_doubts_t *this, uint32_t unique_id)
{
	doubt_t *doubt = find(this, unique_id);

	return doubt && doubt->gone;
}

METHOD(qcd_doubts_t, is_doubtful, bool,
	private_qcd_doubts_t *this, uint32_t unique_id, bool busy)
{
	doubt_t *doubt = find(this, unique_id);

	if (doubt && !doubt->gone && doubt->asked && !busy)
	{
		this->doubts->remove(this->doubts, doubt, NULL);
		free(doubt);
		return FALSE;
	}
	return doubt != NULL;
}

METHOD(qcd_doubts_t, take_question, bool,
	private_qcd_doubts_t *this, uint32_t unique_id)
{
	doubt_t *doubt = find(this, unique_id);
	bool ask = doubt && !doubt->asked;

	if (ask)
	{
		doubt->asked = TRUE;
	}
	return ask;
}

METHOD(qcd_doubts_t, destroy, void,
	private_qcd_doubts_t *this)
{
	this->doubts->destroy_function(this->doubts, free);
	free(this);
}

/*
 * Described in header
 */
qcd_doubts_t *qcd_doubts_create()
{
	private_qcd_doubts_t *this;

	INIT(this,
		.public = {
			.note_lost = _note_lost,
			.note_deleted = _note_deleted,
			.is_gone = _is_gone,
			.is_doubtful = _is_doubtful,
			.take_question = _take_question,
			.destroy = _destroy,
		},
		.doubts = linked_list_create(),
	);
	return &this->public;
}
