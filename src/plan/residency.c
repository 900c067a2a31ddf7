/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <unistd.h>

#include "plan/residency.h"
#include "sys/sys.h"
#include "uapi/cachestat.h"
#include "uapi/rwf.h"

#define RESIDENCY_SAMPLES 16

/* cachestat(2): exact, and touches nothing.  Only for files that are ours. */
static int residency_count(int fd, uint64_t offset, uint64_t len)
{
	struct cachestat_range range = { .off = offset, .len = len };
	struct cachestat stat = { 0 };
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), pages;
	int r = sys_cachestat(fd, &range, &stat, 0);

	if (r < 0)
		return r;
	pages = (offset % page + len - 1) / page + 1;
	if (stat.nr_cache >= pages)
		return 0;
	return (int)((pages - stat.nr_cache) * 1000 / pages);
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
