/* SPDX-License-Identifier: GPL-2.0-or-later */

#define _GNU_SOURCE /* for dl_iterate_phdr() */

#include "qcd_abi.h"

#include <dlfcn.h>
#include <link.h>

#include <daemon.h>

/**
 * Version string to look for, and whether it was found
 */
typedef struct {
	char *version;
	bool found;
} search_t;

/**
 * Search a read-only segment for a string, including the zero octets around it
 */
static bool segment_has(const ElfW(Phdr) *segment, ElfW(Addr) base,
						char *version)
{
	chunk_t needle = chunk_create(version, strlen(version) + 1);
	const char *data = (const char*)(base + segment->p_vaddr);
	const char *end = data + segment->p_filesz;
	const char *at = data;

	while ((at = memmem(at, end - at, needle.ptr, needle.len)))
	{
		if (at > data && at[-1] == '\0')
		{
			return TRUE;
		}
		at++;
	}
	return FALSE;
}

/**
 * Search the first object, which is the program itself. charon, charon-systemd
 * and similar programs contain the version that they were built as. The
 * libraries don't.
 */
static int search_program(struct dl_phdr_info *info, size_t size, void *data)
{
	search_t *search = data;
	int i;

	for (i = 0; i < info->dlpi_phnum; i++)
	{
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];

		if (segment->p_type == PT_LOAD && !(segment->p_flags & PF_W) &&
			segment_has(segment, info->dlpi_addr, search->version))
		{
			search->found = TRUE;
		}
	}
	return 1;
}

/**
 * Check if the running libcharon has the mediation extension
 */
static bool charon_has_me()
{
	return dlsym(RTLD_DEFAULT, "connect_manager_create") != NULL;
}

/*
 * Described in header
 */
bool qcd_abi_fits()
{
	search_t search = {
		.version = VERSION,
	};
#ifdef ME
	bool me = TRUE;
#else
	bool me = FALSE;
#endif

	dl_iterate_phdr(search_program, &search);
	if (!search.found)
	{
		DBG1(DBG_CFG, "QCD: this plugin was built for strongSwan %s, but "
			 "another version is running: not loaded. Build and install the "
			 "plugin for the running version", VERSION);
		return FALSE;
	}
	if (charon_has_me() != me)
	{
		DBG1(DBG_CFG, "QCD: this plugin was built %s the mediation extension, "
			 "but the running charon was built %s it: not loaded. Build and "
			 "install the plugin for the running charon",
			 me ? "with" : "without", me ? "without" : "with");
		return FALSE;
	}
	return TRUE;
}
