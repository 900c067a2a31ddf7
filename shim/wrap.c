/* SPDX-License-Identifier: MIT */
/* The calls themselves, as programs know them. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

#include "raw.h"
#include "shim.h"

#define WRAP_FLAGS (SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)
#define WRAP_SMALL 4096

bool shim_passes(enum policy_call call)
{
	int error;

	if (!shim.on)
		shim_start();
	return !shim.on ||
	       policy_filter(&shim.policy, shim.counted, call, &error) == FILTER_ALLOW;
}

/* ---------------------------------------------------------------- copies */

struct wrap_job {
	struct move m;
	enum policy_call call;
	int in, out;
	int64_t *off;        /* the program's; NULL: the file's position */
	int64_t pos;
	uint64_t len, size_bytes;
	bool to_socket, stream, nonblock;
};

static int64_t wrap_move(struct wrap_job *j)
{
	if (j->call == CALL_TEE)
		return move_tee(&j->m, j->in, j->out, j->len, j->nonblock);
	if (j->to_socket)
		return move_file_socket(&j->m, j->in, &j->pos, j->out, j->len, j->size_bytes,
					j->stream);
	return move_file_pipe(&j->m, j->in, &j->pos, j->out, j->len, j->nonblock);
}

/* Its frame is the only large one, and handlers may have small stacks. */
static __attribute__((noinline)) int64_t wrap_move_small(struct wrap_job *j)
{
	_Alignas(512) unsigned char small[WRAP_SMALL];

	j->m.buf = small;
	j->m.size = sizeof(small);
	return wrap_move(j);
}

static int64_t wrap_copy(struct wrap_job *j)
{
	int64_t r;
	int slot;

	if (j->off && shim_read_off(&j->pos, j->off) < 0)
		return MOVE_NATIVE;
	if (j->call != CALL_TEE && !j->off) {
		j->pos = raw3(SYS_lseek, j->in, 0, SEEK_CUR);
		if (j->pos < 0)
			return MOVE_NATIVE;
	}
	shim_move_init(&j->m);
	slot = shim_buffer_begin(&j->m);
	if (slot >= 0) {
		r = wrap_move(j);
		shim_buffer_end(slot);
	} else {
		r = wrap_move_small(j);
	}
	if (r <= 0 || j->call == CALL_TEE)
		return r;
	if (!j->off)
		(void)raw3(SYS_lseek, j->in, j->pos, SEEK_SET);
	else if (shim_write_off(j->off, j->pos) < 0)
		return -EFAULT;
	return r;
}

static void wrap_look(struct shim_call *c, int in, int out, struct shim_end ends[2])
{
	shim_look(in, &ends[0]);
	if (c->event.call == CALL_SENDFILE)
		shim_look_socket(out, &ends[1]);
	else
		shim_look(out, &ends[1]);
	c->event.in = ends[0].end;
	c->event.out = ends[1].end;
	c->fd = out;
	c->verdict = policy_decide(&shim.policy, &c->event);
}

/* -------------------------------------------------------------- sendfile */

int64_t shim_sendfile(int out, int in, int64_t *off, size_t count, const void *ip)
{
	struct shim_end ends[2];
	struct shim_call c;
	int64_t r = MOVE_NATIVE;

	if (shim_passes(CALL_SENDFILE))
		return raw4(SYS_sendfile, out, in, off, count);
	shim_begin(&c, CALL_SENDFILE, ip);
	c.event.n = count;
	wrap_look(&c, in, out, ends);
	if (c.verdict.action == ACTION_COPY && count > 0) {
		struct wrap_job j = {
			.call = CALL_SENDFILE,
			.in = in, .out = out, .off = off, .len = count,
			.size_bytes = ends[0].size_bytes,
			.to_socket = c.event.out.kind == KIND_SOCKET,
			.stream = ends[1].stream,
			.nonblock = c.event.out.nonblock,
		};

		r = wrap_copy(&j);
	}
	if (r == MOVE_NATIVE)
		r = raw4(SYS_sendfile, out, in, off, count);
	shim_count(&c, count, r);
	return r;
}

SHIM_EXPORT ssize_t sendfile(int out, int in, off_t *off, size_t count);
SHIM_EXPORT ssize_t sendfile(int out, int in, off_t *off, size_t count)
{
	return shim_return(shim_sendfile(out, in, off, count, __builtin_return_address(0)));
}

SHIM_EXPORT ssize_t sendfile64(int out, int in, off64_t *off, size_t count);
SHIM_EXPORT ssize_t sendfile64(int out, int in, off64_t *off, size_t count)
{
	return shim_return(shim_sendfile(out, in, off, count, __builtin_return_address(0)));
}

/* ---------------------------------------------------------------- splice */

static int64_t wrap_splice_native(int in, int64_t *off_in, int out, int64_t *off_out, size_t len,
				  unsigned flags)
{
	int error = errno;

	if (!shim.next.splice)
		return raw(SYS_splice, in, (long)off_in, out, (long)off_out, (long)len, flags);
	return shim_raw_return(shim.next.splice(in, off_in, out, off_out, len, flags), error);
}

int64_t shim_splice(int in, int64_t *off_in, int out, int64_t *off_out, size_t len,
			   unsigned flags, const void *ip)
{
	struct shim_end ends[2];
	struct shim_call c;
	int64_t r = MOVE_NATIVE;

	if (shim_passes(CALL_SPLICE))
		return wrap_splice_native(in, off_in, out, off_out, len, flags);
	shim_begin(&c, CALL_SPLICE, ip);
	c.event.n = len;
	c.event.flags = flags;
	wrap_look(&c, in, out, ends);
	if (c.verdict.action == ACTION_COPY && len > 0 && !off_out && !(flags & ~WRAP_FLAGS)) {
		struct wrap_job j = {
			.call = CALL_SPLICE,
			.in = in, .out = out, .off = off_in, .len = len,
			.nonblock = (flags & SPLICE_F_NONBLOCK) || c.event.out.nonblock,
		};

		r = wrap_copy(&j);
	}
	if (r == MOVE_NATIVE)
		r = wrap_splice_native(in, off_in, out, off_out, len, flags);
	if (r >= 0 || r == -EAGAIN) {
		shim_spliced(&ends[0], false);
		shim_spliced(&ends[1], true);
	}
	shim_count(&c, len, r);
	return r;
}

SHIM_EXPORT ssize_t splice(int in, off64_t *off_in, int out, off64_t *off_out, size_t len,
			   unsigned flags)
{
	return shim_return(shim_splice(in, off_in, out, off_out, len, flags,
				       __builtin_return_address(0)));
}

/* ------------------------------------------------------------------- tee */

static int64_t wrap_tee_native(int in, int out, size_t len, unsigned flags)
{
	int error = errno;

	if (!shim.next.tee)
		return raw4(SYS_tee, in, out, len, flags);
	return shim_raw_return(shim.next.tee(in, out, len, flags), error);
}

int64_t shim_tee(int in, int out, size_t len, unsigned flags, const void *ip)
{
	struct shim_end ends[2];
	struct shim_call c;
	int64_t r = MOVE_NATIVE;

	if (shim_passes(CALL_TEE))
		return wrap_tee_native(in, out, len, flags);
	shim_begin(&c, CALL_TEE, ip);
	c.event.n = len;
	c.event.flags = flags;
	wrap_look(&c, in, out, ends);
	if (c.verdict.action == ACTION_COPY && len > 0 && !(flags & ~WRAP_FLAGS) &&
	    ends[0].ino != ends[1].ino && c.event.in.can_read && c.event.out.can_write) {
		struct wrap_job j = {
			.call = CALL_TEE,
			.in = in, .out = out, .len = len,
			.nonblock = (flags & SPLICE_F_NONBLOCK) || c.event.in.nonblock ||
				    c.event.out.nonblock,
		};

		r = wrap_copy(&j);
	}
	if (r == MOVE_NATIVE)
		r = wrap_tee_native(in, out, len, flags);
	shim_count(&c, len, r);
	return r;
}

SHIM_EXPORT ssize_t tee(int in, int out, size_t len, unsigned flags)
{
	return shim_return(shim_tee(in, out, len, flags, __builtin_return_address(0)));
}

/* ------------------------------------------------------- copy_file_range */

/* Never to a pipe or socket, and between files the kernel copies or shares for good. */
int64_t shim_range(int in, int64_t *off_in, int out, int64_t *off_out, size_t len,
			  unsigned flags, const void *ip)
{
	bool counted = !shim_passes(CALL_COPY_FILE_RANGE);
	struct shim_end ends[2];
	struct shim_call c;
	int error = errno;
	int64_t r;

	if (counted) {
		shim_begin(&c, CALL_COPY_FILE_RANGE, ip);
		c.event.n = len;
		c.event.flags = flags;
		wrap_look(&c, in, out, ends);
	}
	if (shim.next.copy_file_range)
		r = shim_raw_return(shim.next.copy_file_range(in, off_in, out, off_out, len, flags),
			      error);
	else
		r = raw(SYS_copy_file_range, in, (long)off_in, out, (long)off_out, (long)len,
			flags);
	if (counted)
		shim_count(&c, len, r);
	return r;
}

SHIM_EXPORT ssize_t copy_file_range(int in, off64_t *off_in, int out, off64_t *off_out, size_t len,
				    unsigned flags)
{
	return shim_return(shim_range(in, off_in, out, off_out, len, flags,
				      __builtin_return_address(0)));
}
