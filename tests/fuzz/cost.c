/* SPDX-License-Identifier: MIT */
/* The cost file: whatever is accepted is bounded, and is read back the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plan/cost.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_estimates(const struct cost_table *t)
{
	static const uint64_t lens[] = { 0, 1, 5000, 1u << 20, 1ull << 40, UINT64_MAX };
	struct cost_estimate e;
	unsigned i, k;

	for (i = 0; i < t->routes_n; i++)
		for (k = 0; k < sizeof(lens) / sizeof(lens[0]); k++)
			cost_estimate(t, i, COST_FROM_FILE, COST_TO_TCP, lens[k], k * 200, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cost_table first, again;
	struct err note = { "" }, err = { "" };
	struct buf text = BUF_INIT, text_again = BUF_INIT;

	cost_init(&first, route_table, route_table_n);
	again = first;
	if (cost_parse(&first, (const char *)data, size, &note, &err) < 0) {
		if (!err.text[0] || memcmp(&first, &again, sizeof(first)) != 0)
			abort();
		return 0;
	}
	check_estimates(&first);
	cost_format(&first, &text);
	if (cost_parse(&again, buf_str(&text), text.len, NULL, &err) < 0)
		abort();
	cost_format(&again, &text_again);
	if (strcmp(buf_str(&text), buf_str(&text_again)) != 0)
		abort();
	buf_free(&text);
	buf_free(&text_again);
	return 0;
}
