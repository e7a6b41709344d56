/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_half_open.h"

#include <daemon.h>
#include <qcd/qcd.h>

/**
 * charon's defaults
 */
#define BLOCK_THRESHOLD 5
#define COOKIE_THRESHOLD_IP 3
#define COOKIE_THRESHOLD 30

/**
 * Get a limit of charon's
 */
static int get_int(char *key, int standard)
{
	return lib->settings->get_int(lib->settings, key, standard, lib->ns);
}

/**
 * Get the limits for one address, less one in reserve for a peer that was not
 * told. If the block threshold, even one of 0, is not above that for cookies,
 * charon raises it.
 */
static void init_address(qcd_half_open_t *this)
{
	int block, cookie;

	cookie = get_int("%s.cookie_threshold_ip", COOKIE_THRESHOLD_IP);
	block = max(get_int("%s.block_threshold", BLOCK_THRESHOLD), cookie + 1);
	this->block = max(1, block - 1);
	/* a cookie costs a round trip, and then charon requests one for each
	 * handshake for ten seconds */
	this->limit = cookie ? min(this->block, cookie) : this->block;
}

/*
 * Described in header
 */
void qcd_half_open_init(qcd_half_open_t *this)
{
	int cookie = 0, most;

	*this = (qcd_half_open_t){};
	if (lib->settings->get_bool(lib->settings, "%s.dos_protection", TRUE,
								lib->ns))
	{
		init_address(this);
		cookie = get_int("%s.cookie_threshold", COOKIE_THRESHOLD);
	}
	most = get_int("%s.init_limit_half_open", 0);
	/* without cookies, the pace begins with as many as by default */
	cookie = cookie > 0 ? cookie : COOKIE_THRESHOLD;
	this->free = cookie - cookie / 4;
	this->most = most > 0 ? min(most, QCD_PACE_MAX) : QCD_PACE_MAX;
}

/*
 * Described in header
 *
 * Half-open IKE_SAs of others may never be completed, but forged ones are no more
 * than charon accepts without cookies. So there is one turn while it accepts more.
 */
bool qcd_half_open_allows(const qcd_half_open_t *this, host_t *peer, u_int told,
						  u_int handshakes)
{
	ike_sa_manager_t *manager = charon->ike_sa_manager;
	u_int count;

	if (!this->limit)
	{
		return TRUE;
	}
	count = manager->get_half_open_count(manager, peer, TRUE);
	return count + told < this->limit ||
		   (!told && !handshakes && count < this->block);
}
