/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_contacts.h"
#include "qcd_sa.h"

/**
 * Number of addresses that are remembered
 */
#define KNOWN_MAX 16

/**
 * The longest time in milliseconds that counts as usual: after that, charon
 * itself is about to repeat the request
 */
#define USUAL_MAX_MS 2000

/**
 * By which part of it the longest time gets less with each response
 */
#define USUAL_SHARE 4

typedef struct private_qcd_contacts_t private_qcd_contacts_t;

/**
 * An address that responded
 */
typedef struct {
	qcd_address address;
	uint64_t heard;
	u_int usual;
	qcd_pace pace;
} contact_t;

/**
 * Private data
 */
struct private_qcd_contacts_t {

	/**
	 * Public interface
	 */
	qcd_contacts_t public;

	/**
	 * The addresses, and the next index to use
	 */
	contact_t known[KNOWN_MAX];
	u_int next;
};

/**
 * Find an address
 *
 * @return				NULL if not known
 */
static contact_t *find(private_qcd_contacts_t *this, host_t *peer)
{
	qcd_address address;
	u_int i;

	qcd_address_from_host(peer, &address);
	for (i = 0; i < KNOWN_MAX; i++)
	{
		if (memeq(&this->known[i].address, &address, sizeof(address)))
		{
			return &this->known[i];
		}
	}
	return NULL;
}

METHOD(qcd_contacts_t, heard, void,
	private_qcd_contacts_t *this, host_t *peer, uint64_t took)
{
	contact_t *contact = find(this, peer);

	if (!contact)
	{
		contact = &this->known[this->next++ % KNOWN_MAX];
		contact->usual = 0;
		qcd_address_from_host(peer, &contact->address);
		qcd_pace_init(&contact->pace, QCD_PACE_FIRST, QCD_PACE_MAX);
	}
	contact->heard = qcd_now();
	contact->usual = max(contact->usual - contact->usual / USUAL_SHARE,
						 min(took, USUAL_MAX_MS));
}

METHOD(qcd_contacts_t, get_heard, uint64_t,
	private_qcd_contacts_t *this, host_t *peer)
{
	contact_t *contact = find(this, peer);

	return contact ? contact->heard : 0;
}

METHOD(qcd_contacts_t, get_usual, u_int,
	private_qcd_contacts_t *this, host_t *peer)
{
	contact_t *contact = find(this, peer);

	return contact ? contact->usual : 0;
}

METHOD(qcd_contacts_t, completed, void,
	private_qcd_contacts_t *this, host_t *peer, u_int underway)
{
	contact_t *contact = find(this, peer);

	if (contact)
	{
		qcd_pace_completed(&contact->pace, underway, TRUE);
	}
}

METHOD(qcd_contacts_t, failed, void,
	private_qcd_contacts_t *this, host_t *peer)
{
	contact_t *contact = find(this, peer);

	if (contact)
	{
		qcd_pace_failed(&contact->pace, qcd_now());
	}
}

METHOD(qcd_contacts_t, get_due, u_int,
	private_qcd_contacts_t *this, host_t *peer, u_int underway)
{
	contact_t *contact = find(this, peer);

	return contact ? qcd_pace_due(&contact->pace, underway) :
		   QCD_PACE_FIRST - min(underway, QCD_PACE_FIRST);
}

METHOD(qcd_contacts_t, destroy, void,
	private_qcd_contacts_t *this)
{
	free(this);
}

/*
 * Described in header
 */
qcd_contacts_t *qcd_contacts_create()
{
	private_qcd_contacts_t *this;

	INIT(this,
		.public = {
			.heard = _heard,
			.get_heard = _get_heard,
			.get_usual = _get_usual,
			.completed = _completed,
			.failed = _failed,
			.get_due = _get_due,
			.destroy = _destroy,
		},
	);
	return &this->public;
}
