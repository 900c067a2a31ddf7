/* SPDX-License-Identifier: MIT */
#include "process/pages.h"

#include <errno.h>
#include <unistd.h>

#include "base/checked.h"
#include "process/entry.h"
#include "process/scan.h"
#include "sys/sys.h"
#include "uapi/pagemap.h"

#define PAGES_ENTRIES 1024

struct pages_job {
	const struct target *target;
	struct pages_found *ret;
	uint64_t zero_frame;
	bool check_swapped;          /* look at the entries of what is said to be swapped */
};

static int pages_keep(struct pages_job *job, uint64_t start, uint64_t end, bool swapped, bool file)
{
	struct pages_found *ret = job->ret;
	int r = 0;

	if (swapped)
		ret->swapped_bytes += end - start;
	if (ret->there)
		r = ranges_add(ret->there, start, end);
	if (r == 0 && file && ret->file)
		r = ranges_add(ret->file, start, end);
	return r;
}

/* ------------------------------------------------------- pagemap's entries */

static int pages_take_entries(struct pages_job *job, uint64_t at, const uint64_t *v, size_t n)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	size_t i, from;
	int r = 0;

	for (i = 0; i < n && r == 0;) {
		unsigned what = entry_means(v[i], job->zero_frame) & ~(unsigned)ENTRY_WRITTEN;

		for (from = i++; i < n; i++)
			if ((entry_means(v[i], job->zero_frame) & ~(unsigned)ENTRY_WRITTEN) != what)
				break;
		if (what & ENTRY_THERE)
			r = pages_keep(job, at + from * page, at + i * page, what & ENTRY_SWAPPED,
				       what & ENTRY_FILE);
	}
	return r;
}

int pages_entries(const struct target *t, uint64_t addr, uint64_t *ret, size_t n)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	ssize_t got = sys_pread(t->pagemap_fd, ret, n * sizeof(*ret),
				addr / page * sizeof(*ret));

	return got < 0 ? (int)got : (int)((size_t)got / sizeof(*ret));
}

static int pages_scan_entries(struct pages_job *job, uint64_t start, uint64_t end)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t v[PAGES_ENTRIES];
	int n, r = 0;

	while (start < end && r == 0) {
		n = pages_entries(job->target, start, v,
				  min_u64(PAGES_ENTRIES, (end - start + page - 1) / page));
		if (n <= 0) /* 0: behind what programs can map */
			return n;
		r = pages_take_entries(job, start, v, (size_t)n);
		start += (uint64_t)n * page;
	}
	return r;
}

/* ------------------------------------------------------------ PAGEMAP_SCAN */

/*
 * "Swapped" is every entry that is not a page: also the markers of a
 * userfaultfd's write protection where there is none.
 */
static int pages_take(void *arg, uint64_t start, uint64_t end, uint64_t categories)
{
	struct pages_job *job = arg;

	if (categories & PAGE_IS_GUARD)
		return 0;
	if (categories & PAGE_IS_SWAPPED && job->check_swapped)
		return pages_scan_entries(job, start, end);
	if (categories & PAGE_IS_HUGE)
		job->ret->huge_bytes += end - start;
	return pages_keep(job, start, end, categories & PAGE_IS_SWAPPED,
			  categories & PAGE_IS_FILE);
}

int pages_scan(const struct target *t, uint64_t start, uint64_t end, struct pages_found *ret,
	       struct err *reterr)
{
	struct pages_job job = {
		.target = t, .ret = ret,
		.zero_frame = caps_value(t->caps, FACT_PAGEMAP_FRAMES),
	};
	struct scan s = {
		.pagemap_fd = t->pagemap_fd,
		.inverted = PAGE_IS_PFNZERO,
		.mask = PAGE_IS_PFNZERO,
		.anyof = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
		.give = PAGE_IS_SWAPPED | PAGE_IS_HUGE,
	};
	int r;

	job.check_swapped = job.zero_frame != 0;
	if (caps_has(t->caps, FACT_PAGEMAP_SCAN)) {
		s.give |= caps_value(t->caps, FACT_PAGEMAP_SCAN) & PAGE_IS_GUARD;
		s.give |= ret->file ? PAGE_IS_FILE : 0; /* four times as slow */
		r = scan_run(&s, start, end, pages_take, &job);
	} else {
		r = pages_scan_entries(&job, start, end);
	}
	if (r < 0)
		return err_errno(reterr, r, "PID %d: what is in its memory", (int)t->pid);
	return 0;
}
