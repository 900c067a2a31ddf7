/* SPDX-License-Identifier: MIT */
/* Texts of /proc: whatever is accepted makes sense, and refused is refused whole. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "process/maps.h"
#include "process/pages.h"
#include "process/procfs.h"
#include "process/ranges.h"
#include "process/refuse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_maps(const char *text, enum maps_how how)
{
	struct maps m = MAPS_INIT, again = MAPS_INIT;
	size_t i;

	if (maps_parse(text, how, &m) < 0 && m.n != 0)
		abort();
	for (i = 0; i < m.n; i++)
		if (m.v[i].start >= m.v[i].end || (i > 0 && m.v[i].start < m.v[i - 1].end) ||
		    maps_find(&m, m.v[i].start) != &m.v[i] ||
		    strlen(maps_name(&m, &m.v[i])) >= m.names.len || m.v[i].page_size < 4096)
			abort();
	(void)maps_parse(text, MAPS_SMAPS, &again);
	maps_adopt(&m, &again);
	maps_free(&m);
	maps_free(&again);
}

static void check_status(const char *text)
{
	struct proc_status st;
	struct proc_stat stat;

	if (procfs_parse_status(text, &st) == 0 &&
	    (st.pid <= 0 || st.tgid <= 0 || st.ns_depth == 0 || strlen(st.name) >= sizeof(st.name)))
		abort();
	if (procfs_parse_stat(text, &stat) == 0 && strlen(stat.comm) >= sizeof(stat.comm))
		abort();
}

static void check_pinned(const char *text)
{
	struct ranges r = RANGES_INIT;
	size_t i;

	(void)pages_parse_pinned(text, &r);
	for (i = 0; i < r.n; i++)
		if (r.v[i].start >= r.v[i].end || r.v[i].start % 4096 || r.v[i].end % 4096)
			abort();
	ranges_free(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	uint64_t at;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	check_maps(text, MAPS_PLAIN);
	check_maps(text, MAPS_SMAPS);
	check_status(text);
	check_pinned(text);
	(void)refuse_auxv_bits(data, size);
	(void)refuse_is_vfork(text, &at);
	free(text);
	return 0;
}
