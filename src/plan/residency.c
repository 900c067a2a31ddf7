/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <unistd.h>

#include "plan/residency.h"
#include "sys/sys.h"
#include "uapi/cachestat.h"
#include "uapi/rwf.h"

#define RESIDENCY_SAMPLES 16
/* Windows that cachestat(2) is asked about, where the range is longer. */
#define RESIDENCY_WINDOWS 8
#define RESIDENCY_WINDOW_BYTES (4u << 10)

/* Pages of a window and those of them that are not in the page cache. */
static int residency_window(int fd, uint64_t offset, uint64_t len, uint64_t *pages,
			    uint64_t *cold)
{
	struct cachestat_range range = { .off = offset, .len = len };
	struct cachestat stat = { 0 };
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t n = (offset % page + len - 1) / page + 1;
	int r = sys_cachestat(fd, &range, &stat, 0);

	if (r < 0)
		return r;
	*pages += n;
	*cold += stat.nr_cache < n ? n - stat.nr_cache : 0;
	return 0;
}

/*
 * cachestat(2) touches nothing; only for files that are ours.  It walks over
 * every folio, 50 ns each, which for a mebibyte of small ones is a tenth of
 * what sending it takes: so we ask about a few windows.
 */
static int residency_count(int fd, uint64_t offset, uint64_t len)
{
	uint64_t pages = 0, cold = 0, stride = len / RESIDENCY_WINDOWS;
	int r;

	if (stride <= RESIDENCY_WINDOW_BYTES) {
		r = residency_window(fd, offset, len, &pages, &cold);
		return r < 0 ? r : (int)(cold * 1000 / pages);
	}
	for (unsigned i = 0; i < RESIDENCY_WINDOWS; i++) {
		r = residency_window(fd,
				     offset + stride * i + (stride - RESIDENCY_WINDOW_BYTES) / 2,
				     RESIDENCY_WINDOW_BYTES, &pages, &cold);
		if (r < 0)
			return r;
	}
	return (int)(cold * 1000 / pages);
}

/*
 * Reads of one byte that do not wait for the disk, spread over the range.
 * Newer kernels take the failed ones as a hint and start to read there.
 */
static int residency_sample(int fd, uint64_t offset, uint64_t len)
{
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	unsigned i, cold = 0;
	ssize_t n;

	for (i = 0; i < RESIDENCY_SAMPLES; i++) {
		n = sys_preadv2(fd, &iov, 1, offset + len / RESIDENCY_SAMPLES * i,
				RWF_NOWAIT);
		if (n == -EAGAIN)
			cold++;
		else if (n < 0)
			return (int)n;
	}
	return (int)(cold * 1000 / RESIDENCY_SAMPLES);
}

uint32_t residency_cold_permille(int fd, uint64_t offset, uint64_t len)
{
	int r;

	if (len == 0)
		return 0;
	r = residency_count(fd, offset, len);
	if (r < 0)
		r = residency_sample(fd, offset, len);
	return r < 0 ? 0 : (uint32_t)r;
}
