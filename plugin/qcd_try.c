/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_try.h"

/**
 * Contents of a list of addresses
 */
typedef struct {
	/** the first IP address */
	host_t *literal;
	/** whether a given host is among its IP addresses */
	bool has_host;
	/** whether it contains a name */
	bool named;
	/** whether it contains a subnet, a range or %any */
	bool open;
} addresses_t;

/**
 * Tell whether a word is a name, and not an address, a range, a subnet or %any
 */
static bool is_name(char *word)
{
	char first[64] = "";
	host_t *host;

	/* only in a range, the part before a hyphen is an address */
	snprintf(first, sizeof(first), "%.*s", (int)strcspn(word, "-"), word);
	host = host_create_from_string(first, 0);
	DESTROY_IF(host);
	return !host && !strpbrk(word, "/%");
}

/**
 * Read a list of addresses, without lookups
 */
static void read_addresses(char *list, host_t *host, addresses_t *out)
{
	enumerator_t *enumerator;
	char *word;
	host_t *single;

	memset(out, 0, sizeof(*out));
	enumerator = enumerator_create_token(list, ",", " ");
	while (enumerator->enumerate(enumerator, &word))
	{
		single = host_create_from_string(word, 0);
		if (!single || single->is_anyaddr(single))
		{
			out->named |= !single && is_name(word);
			out->open |= single || !is_name(word);
			DESTROY_IF(single);
			continue;
		}
		out->has_host |= host && single->ip_equals(single, host);
		if (out->literal)
		{
			single->destroy(single);
		}
		else
		{
			out->literal = single;
		}
	}
	enumerator->destroy(enumerator);
}

/*
 * Described in header
 */
bool qcd_try_is_named(ike_cfg_t *ike_cfg)
{
	addresses_t addresses;

	read_addresses(ike_cfg->get_other_addr(ike_cfg), NULL, &addresses);
	DESTROY_IF(addresses.literal);
	return addresses.named;
}

/**
 * Add an address to those to try, unless it is one of them
 */
static void add_peer(host_t *peers[], u_int *count, host_t *host)
{
	u_int i;

	if (!host || host->is_anyaddr(host))
	{
		return;
	}
	for (i = 0; i < *count; i++)
	{
		if (peers[i]->ip_equals(peers[i], host))
		{
			return;
		}
	}
	peers[(*count)++] = host;
}

/*
 * Described in header
 */
host_t *qcd_try_get_peer(ike_cfg_t *ike_cfg, host_t *known, host_t *resolved,
						 u_int turn, u_int *count)
{
	addresses_t addresses;
	host_t *peers[3] = {}, *host;

	read_addresses(ike_cfg->get_other_addr(ike_cfg), known, &addresses);
	*count = 0;
	if (!addresses.has_host)
	{	/* the configured address, even if the peer came from another one */
		add_peer(peers, count, addresses.literal);
	}
	if (addresses.has_host || addresses.open || addresses.named ||
		!addresses.literal)
	{
		add_peer(peers, count, known);
	}
	add_peer(peers, count, resolved);
	host = peers[turn % *count]->clone(peers[turn % *count]);
	host->set_port(host, ike_cfg->get_other_port(ike_cfg));
	DESTROY_IF(addresses.literal);
	return host;
}

/*
 * Described in header
 */
host_t *qcd_try_get_source(ike_cfg_t *ike_cfg, host_t *peer)
{
	addresses_t addresses;
	host_t *me;

	read_addresses(ike_cfg->get_my_addr(ike_cfg), NULL, &addresses);
	me = addresses.literal;
	if (me && me->get_family(me) != peer->get_family(peer))
	{
		me->destroy(me);
		me = NULL;
	}
	if (!me)
	{
		me = charon->kernel->get_source_addr(charon->kernel, peer, NULL);
	}
	if (me)
	{
		me->set_port(me, ike_cfg->get_my_port(ike_cfg));
	}
	return me;
}
