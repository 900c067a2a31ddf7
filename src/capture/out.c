/* SPDX-License-Identifier: MIT */
#include "capture/out.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/checked.h"
#include "sys/sys.h"

#define OUT_WAIT_MS 100
#define OUT_LEVEL 1   /* a disk is faster than any higher one */

int out_open(struct out *o, int fd, bool zstd, struct err *reterr)
{
	*o = (struct out){ .fd = fd, .zstd = zstd };
	if (!zstd)
		return 0;
	o->compressed_size = ZSTD_compressBound(OUT_CHUNK);
	o->context = ZSTD_createCCtx();
	o->in = sys_malloc(OUT_CHUNK);
	o->compressed = sys_malloc(o->compressed_size);
	if (!o->context || !o->in || !o->compressed) {
		out_close(o);
		return err_set(reterr, -ENOMEM, "compressing: out of memory");
	}
	return 0;
}

void out_close(struct out *o)
{
	(void)ZSTD_freeCCtx(o->context);
	free(o->in);
	free(o->compressed);
	o->context = NULL;
	o->in = o->compressed = NULL;
}

/* The sink may be non-blocking. */
static int out_wait(const struct out *o)
{
	struct pollfd p = { .fd = o->fd, .events = POLLOUT };
	int r = sys_poll(&p, 1, OUT_WAIT_MS);

	if (r < 0 && r != -EINTR)
		return r;
	return o->tick ? o->tick(o->tick_arg) : 0;
}

/* The sentence of a wait that was given up is there already. */
static int out_result(int r, struct err *reterr)
{
	if (r == -ETIME || r == -ECANCELED)
		return r;
	return r < 0 ? err_errno(reterr, r, "writing the image") : 0;
}

static int out_write(struct out *o, const unsigned char *p, uint64_t len, struct err *reterr)
{
	struct sys_sigpipe saved;
	int r = sys_sigpipe_block(&saved);

	if (r < 0)
		return err_errno(reterr, r, "writing the image");
	while (len && r >= 0) {
		ssize_t n = sys_write(o->fd, p, len);

		if (n == -EAGAIN) {
			r = out_wait(o);
		} else if (n <= 0) {
			r = n < 0 ? (int)n : -EIO;
		} else {
			p += n;
			len -= (uint64_t)n;
			o->bytes += (uint64_t)n;
		}
	}
	sys_sigpipe_restore(&saved);
	return out_result(r, reterr);
}

static int out_chunk(struct out *o, struct err *reterr)
{
	size_t n;

	if (!o->in_len)
		return 0;
	n = ZSTD_compressCCtx(o->context, o->compressed, o->compressed_size, o->in, o->in_len,
			      OUT_LEVEL);
	if (ZSTD_isError(n))
		return err_set(reterr, -EIO, "compressing: %s", ZSTD_getErrorName(n));
	o->in_len = 0;
	return out_write(o, o->compressed, n, reterr);
}

int out_put(struct out *o, const void *data, uint64_t len, struct err *reterr)
{
	const unsigned char *p = data;
	int r = 0;

	o->raw_bytes += len;
	if (!o->zstd)
		return out_write(o, p, len, reterr);
	while (len && r >= 0) {
		uint32_t n = (uint32_t)min_u64(len, OUT_CHUNK - o->in_len);

		memcpy(o->in + o->in_len, p, n);
		o->in_len += n;
		p += n;
		len -= n;
		if (o->in_len == OUT_CHUNK)
			r = out_chunk(o, reterr);
	}
	return r;
}

int out_zeros(struct out *o, uint64_t len, struct err *reterr)
{
	static const unsigned char zeros[256 << 10];
	int r = 0;

	while (len && r >= 0) {
		uint64_t n = min_u64(len, sizeof(zeros));

		r = out_put(o, zeros, n, reterr);
		len -= n;
	}
	return r;
}

int out_splice(struct out *o, int pipe_fd, uint64_t len, struct err *reterr)
{
	struct sys_sigpipe saved;
	int r = sys_sigpipe_block(&saved);

	if (r < 0)
		return err_errno(reterr, r, "writing the image");
	o->raw_bytes += len;
	while (len && r >= 0) {
		ssize_t n = sys_splice(pipe_fd, NULL, o->fd, NULL, len, SPLICE_F_MOVE);

		if (n == -EAGAIN) {
			r = out_wait(o);
		} else if (n <= 0) {
			r = n < 0 ? (int)n : -EIO;
		} else {
			len -= (uint64_t)n;
			o->bytes += (uint64_t)n;
		}
	}
	sys_sigpipe_restore(&saved);
	return out_result(r, reterr);
}

int out_end(struct out *o, struct err *reterr)
{
	return o->zstd ? out_chunk(o, reterr) : 0;
}
