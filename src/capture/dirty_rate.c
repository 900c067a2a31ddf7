/* SPDX-License-Identifier: MIT */
/*
 * The bandwidth of a capture from here: the slower of reading the target and
 * of writing to a file without a name where the image would go.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "capture/dirty.h"
#include "sys/sys.h"

#define RATE_CHUNK (4u << 20)
#define RATE_BYTES (64ull << 20)
#define RATE_NS_MAX 500000000ull       /* of a slow disk no more than this */
#define RATE_DEFAULT 500000000ull      /* bytes a second, where nothing can be measured */
#define RATE_RANGES 1024u

static uint64_t rate_of(uint64_t bytes, uint64_t ns)
{
	return (uint64_t)((double)bytes * 1e9 / (double)(ns ? ns : 1));
}

/* The first bytes of what is there, to the limit; 0: there is none. */
static uint64_t rate_read(struct decant_dirty *d, void *buf)
{
	struct capture *c = &d->c;
	struct pages_found found = { .there = &d->there };
	uint64_t bytes = 0, begin, at;
	struct range one;
	int r = 0;

	ranges_clear(&d->there);
	for (size_t i = 0; i < c->scope.n && r >= 0 && ranges_bytes(&d->there) < RATE_BYTES; i++)
		if (c->scope.v[i].how == SCOPE_PRIVATE)
			r = pages_scan(c->t, c->scope.v[i].start, c->scope.v[i].end, &found,
				       &c->err);
	begin = sys_clock_ns();
	for (size_t i = 0; i < d->there.n && i < RATE_RANGES && bytes < RATE_BYTES; i++)
		for (at = d->there.v[i].start; at < d->there.v[i].end && bytes < RATE_BYTES;
		     at = one.end) {
			one = (struct range){ at, min_u64(at + RATE_CHUNK, d->there.v[i].end) };
			if (pages_gather(c->t, PAGES_LIVE, &one, 1, buf, NULL) < 0)
				return 0;
			bytes += one.end - one.start;
		}
	return bytes ? rate_of(bytes, sys_clock_ns() - begin) : 0;
}

/* As a capture writes: past the page cache where the file system lets us. */
static uint64_t rate_write(const char *dir, const void *buf)
{
	_cleanup_close_ int fd = sys_open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	uint64_t bytes = 0, begin;
	int fl;

	if (fd < 0)
		return 0;
	fl = sys_getfl(fd);
	if (fl >= 0)
		(void)sys_setfl(fd, fl | O_DIRECT);
	(void)sys_fallocate(fd, 0, 0, RATE_BYTES);
	begin = sys_clock_ns();
	while (bytes < RATE_BYTES && sys_clock_ns() - begin < RATE_NS_MAX) {
		ssize_t n = sys_pwrite(fd, buf, RATE_CHUNK, bytes);

		if (n <= 0)
			return 0;
		bytes += (uint64_t)n;
	}
	return rate_of(bytes, sys_clock_ns() - begin);
}

void dirty_measure(struct decant_dirty *d)
{
	uint64_t read = 0, write = 0;
	void *buf;

	d->measured = true;
	d->bandwidth_bytes = d->o.bandwidth_bytes;
	d->bandwidth_from = DECANT_DIRTY_GIVEN;
	if (d->bandwidth_bytes)
		return;
	buf = sys_aligned_alloc(4096, RATE_CHUNK);
	if (buf) {
		/* No file system makes less of pages like these. */
		for (uint32_t i = 0, x = 1; i < RATE_CHUNK / 4; i++, x = x * 1664525 + 1013904223)
			((uint32_t *)buf)[i] = x;
		write = d->o.dir ? rate_write(d->o.dir, buf) : 0;
		read = d->ended ? 0 : rate_read(d, buf);
		free(buf);
	}
	if (write && (!read || write <= read)) {
		d->bandwidth_bytes = write;
		d->bandwidth_from = DECANT_DIRTY_DISK;
	} else {
		d->bandwidth_bytes = read ? read : RATE_DEFAULT;
		d->bandwidth_from = DECANT_DIRTY_READING;
	}
}
