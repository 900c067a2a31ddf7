/* SPDX-License-Identifier: MIT */
#include "lib/paged.h"

#include "tap.h"

const char *const paged_masks[PAGED_MASKS] = {
	NULL, "pagemap_scan", "pagemap_frames", "pagemap_scan,pagemap_frames", "process_vm",
};

const char *paged_mask_name(const void *arg)
{
	const char *mask = *(const char *const *)arg;

	return mask ? mask : "nothing";
}

bool paged_lacks(const void *arg, const char *facts)
{
	static struct caps *kernel;
	const char *mask = *(const char *const *)arg;
	bool lacking = true;

	need(kernel || caps_create(&kernel, NULL, NULL) == 0, "caps");
	for (enum fact f = FACT_NONE + 1; f < FACT_MAX; f++)
		if (strstr(facts, caps_name(f)) && caps_has(kernel, f))
			lacking &= mask && strstr(mask, caps_name(f));
	return lacking;
}

void paged_fill(char *p, size_t len)
{
	for (size_t i = 0; i < len; i += 8)
		*(uint64_t *)(p + i) = (uintptr_t)p + i + 1;
}

struct ranges paged_scan(struct forked *f, size_t at, size_t len, struct pages_found *found)
{
	struct ranges there = RANGES_INIT;
	struct pages_found none = { .there = NULL };
	struct err e = { "" };

	if (!found)
		found = &none;
	found->there = &there;
	is_int(pages_scan(f->target, AT + at, AT + at + len, found, &e), 0, "scan %s", e.text);
	return there;
}

void paged_there_is(struct forked *f, size_t at, size_t len, const char *want)
{
	struct ranges there = paged_scan(f, at, len, NULL);
	char got[400] = "";

	for (size_t i = 0; i < there.n; i++) {
		unsigned long from = (there.v[i].start - AT - at) / PAGE;
		unsigned long to = (there.v[i].end - AT - at) / PAGE - 1;

		snprintf(got + strlen(got), sizeof(got) - strlen(got),
			 from == to ? "%s%lu" : "%s%lu-%lu", i ? " " : "", from, to);
	}
	is_str(got, want, "what is there");
	ranges_free(&there);
}

long paged_plain(uintptr_t arg)
{
	char *p = forked_put(0, 64 * PAGE, RW, ANON);
	volatile char sink;

	(void)arg;
	madvise(p, 64 * PAGE, MADV_NOHUGEPAGE);
	paged_fill(p + PAGE, 3 * PAGE);            /* 1-3 */
	sink = p[5 * PAGE];                  /* 5: the zero page */
	paged_fill(p + 6 * PAGE, PAGE);            /* 6, then not there */
	paged_fill(p + 63 * PAGE, PAGE);
	madvise(p + 6 * PAGE, PAGE, MADV_DONTNEED);
	paged_fill(p + 10 * PAGE, PAGE);           /* there, though it may not be read */
	mprotect(p + 10 * PAGE, PAGE, PROT_NONE);
	return sink;
}

long paged_is_there(uintptr_t page)
{
	unsigned char vec = 0;

	if (mincore(FORKED_AT + page * PAGE, PAGE, &vec))
		_exit(9);
	return vec & 1;
}
