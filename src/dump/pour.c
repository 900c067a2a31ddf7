/* SPDX-License-Identifier: MIT */
#include "dump/pour.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "image/criu.h"
#include "sys/sys.h"

#define POUR_BUFFER (1u << 20)
/* From here on a transfer costs less than the copy that it saves. */
#define POUR_LONG (256u << 10)

int pour_open(struct pour *p, struct decant *d, int to_fd, struct err *reterr)
{
	*p = (struct pour){ .d = d, .to_fd = to_fd, .from_fd = -1 };
	p->data = sys_malloc(POUR_BUFFER);
	return p->data ? 0 : err_set(reterr, -ENOMEM, "out of memory");
}

void pour_close(struct pour *p)
{
	free(p->data);
	p->data = NULL;
}

static bool pour_is_zero(const unsigned char *page)
{
	return page[0] == 0 && memcmp(page, page + 1, CRIU_PAGE - 1) == 0;
}

static int pour_write(struct pour *p, uint64_t at, uint64_t len, struct err *e)
{
	while (len) {
		ssize_t n = sys_pwrite(p->to_fd, p->data + at, len, p->to_at + at);

		if (n <= 0)
			return err_errno(e, n < 0 ? (int)n : -EIO, "writing");
		at += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

/* The buffer, but for its pages of zeros: the file is new, and there they are already. */
static int pour_buffer(struct pour *p, struct err *e)
{
	uint64_t from = 0, at = 0;
	int r = 0;

	for (; at < p->len && r == 0; at += CRIU_PAGE) {
		if (!pour_is_zero(p->data + at))
			continue;
		r = pour_write(p, from, at - from, e);
		from = at + CRIU_PAGE;
	}
	if (r == 0 && from < p->len)
		r = pour_write(p, from, p->len - from, e);
	p->copied_bytes += p->len;
	p->len = 0;
	return r;
}

static int pour_short(struct pour *p, struct err *e)
{
	uint64_t at = p->from_at, left = p->run_len;

	while (left) {
		uint64_t n;
		ssize_t got;

		if (p->len == POUR_BUFFER || (p->len && p->to_at + p->len != p->run_to)) {
			int r = pour_buffer(p, e);

			if (r < 0)
				return r;
		}
		if (!p->len)
			p->to_at = p->run_to;
		n = min_u64(left, POUR_BUFFER - p->len);
		got = sys_pread(p->from_fd, p->data + p->len, n, at);
		/* Half a page is no page; the next read tells why. */
		if (got > 0 && (got = (ssize_t)align_down((uint64_t)got, CRIU_PAGE)) == 0)
			got = -EIO;
		if (got <= 0)
			return err_errno(e, got < 0 ? (int)got : -ENODATA, "reading pages");
		p->len += (uint64_t)got;
		p->run_to += (uint64_t)got;
		at += (uint64_t)got;
		left -= (uint64_t)got;
	}
	return 0;
}

static int pour_long(struct pour *p, struct err *e)
{
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct decant_event end = { 0 };
	int64_t n;

	t.from = decant_file(p->from_fd, p->from_at);
	t.to = decant_file(p->to_fd, p->run_to);
	t.len = p->run_len;
	n = decant_move(p->d, &t, &end);
	if (n < 0)
		return err_set(e, (int)n, "%s", end.message[0] ? end.message :
							   decant_strerror(p->d));
	p->copied_bytes += end.copied_bytes;
	return (uint64_t)n == p->run_len ? 0 : err_set(e, -ENODATA, "pages are missing");
}

static int pour_run(struct pour *p, struct err *e)
{
	int r = 0;

	if (p->from_fd >= 0) {
		p->bytes += p->run_len;
		r = p->run_len >= POUR_LONG ? pour_long(p, e) : pour_short(p, e);
	}
	p->from_fd = -1;
	return r;
}

int pour_add(struct pour *p, int from_fd, uint64_t from_at, uint64_t len, uint64_t to_at,
	     struct err *reterr)
{
	int r;

	if (p->from_fd == from_fd && p->from_at + p->run_len == from_at &&
	    p->run_to + p->run_len == to_at) {
		p->run_len += len;
		return 0;
	}
	r = pour_run(p, reterr);
	p->from_fd = from_fd;
	p->from_at = from_at;
	p->run_to = to_at;
	p->run_len = len;
	return r;
}

int pour_flush(struct pour *p, struct err *reterr)
{
	int r = pour_run(p, reterr);

	return r == 0 ? pour_buffer(p, reterr) : r;
}
