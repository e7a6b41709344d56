/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * A plugin of charon for bench/storms.py: child SAs cost nothing and carry
 * nothing. charon's own ESP in user space walks lists of all of them, and the
 * machines that measure often have none in the kernel.
 */

#include <time.h>

#include <daemon.h>
#include <plugins/plugin.h>

METHOD(kernel_ipsec_t, get_spi, status_t,
	kernel_ipsec_t *this, host_t *src, host_t *dst, uint8_t protocol,
	uint32_t *spi)
{
	/* one that is lost must not come back */
	do
	{
		*spi = (uint32_t)random();
	}
	while (ntohl(*spi) < 256);
	return SUCCESS;
}

METHOD(kernel_ipsec_t, get_cpi, status_t,
	kernel_ipsec_t *this, host_t *src, host_t *dst, uint16_t *cpi)
{
	return FAILED;
}

METHOD(kernel_ipsec_t, query_sa, status_t,
	kernel_ipsec_t *this, kernel_ipsec_sa_id_t *id,
	kernel_ipsec_query_sa_t *data, uint64_t *bytes, uint64_t *packets,
	time_t *time)
{
	return NOT_SUPPORTED;
}

METHOD(kernel_ipsec_t, query_policy, status_t,
	kernel_ipsec_t *this, kernel_ipsec_policy_id_t *id,
	kernel_ipsec_query_policy_t *data, time_t *use_time)
{
	return NOT_SUPPORTED;
}

static status_t succeed()
{
	return SUCCESS;
}

static kernel_ipsec_t *null_esp_create()
{
	kernel_ipsec_t *this;

	srandom(time(NULL) ^ getpid());
	INIT(this,
		.get_spi = _get_spi,
		.get_cpi = _get_cpi,
		.add_sa = (void*)succeed,
		.update_sa = (void*)succeed,
		.query_sa = _query_sa,
		.del_sa = (void*)succeed,
		.flush_sas = (void*)succeed,
		.add_policy = (void*)succeed,
		.query_policy = _query_policy,
		.del_policy = (void*)succeed,
		.flush_policies = (void*)succeed,
		.bypass_socket = (void*)return_true,
		.enable_udp_decap = (void*)return_true,
		.destroy = (void*)free,
	);
	return this;
}

METHOD(plugin_t, get_name, char*,
	plugin_t *this)
{
	return "null-esp";
}

METHOD(plugin_t, get_features, int,
	plugin_t *this, plugin_feature_t *features[])
{
	static plugin_feature_t f[] = {
		PLUGIN_CALLBACK(kernel_ipsec_register, null_esp_create),
			PLUGIN_PROVIDE(CUSTOM, "kernel-ipsec"),
	};

	*features = f;
	return countof(f);
}

plugin_t *null_esp_plugin_create()
{
	plugin_t *this;

	INIT(this,
		.get_name = _get_name,
		.get_features = _get_features,
		.reload = (void*)return_false,
		.destroy = (void*)free,
	);
	return this;
}
