/* SPDX-License-Identifier: MIT */
#include "dump/records.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "sys/sys.h"

#define RECORDS_LENGTH 4                 /* of a record's length */

int records_open_file(int dir_fd, const char *name, uint64_t *ret_bytes)
{
	/* A FIFO of that name must not make us wait. */
	_cleanup_close_ int fd = sys_openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
					    O_NOCTTY | O_CLOEXEC, 0);
	struct stat st;
	int r;

	if (fd < 0)
		return fd;
	r = sys_fstat(fd, &st);
	if (r < 0)
		return r;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	*ret_bytes = (uint64_t)st.st_size;
	return take_fd(&fd);
}

/* More of the file, behind what is there. */
static int records_fill(struct records *r, struct err *e)
{
	ssize_t n;

	if (r->at) {
		memmove(r->data, r->data + r->at, r->len - r->at);
		r->len -= r->at;
		r->at = 0;
	}
	n = sys_read(r->fd, r->data + r->len, r->size - r->len);
	if (n < 0)
		return err_errno(e, (int)n, "reading");
	r->len += (size_t)n;
	r->end = n == 0;
	return 0;
}

static int records_magic(struct records *r, enum criu_kind kind, struct err *e)
{
	int n, f;

	for (;;) {
		n = criu_get_magic(kind, r->data, r->len, e);
		if (n != 0)
			break;
		if (r->end)
			return err_set(e, -EBADMSG, "is cut off in its magic");
		f = records_fill(r, e);
		if (f < 0)
			return f;
	}
	if (n > 0)
		r->at = (size_t)n;
	return n < 0 ? n : 0;
}

int records_open(struct records *r, int dir_fd, const char *name, enum criu_kind kind, size_t max,
		 struct err *reterr)
{
	uint64_t bytes;
	int error;

	*r = (struct records)RECORDS_INIT;
	r->fd = records_open_file(dir_fd, name, &bytes);
	if (r->fd == -ENOENT)
		return -ENOENT;
	if (r->fd < 0)
		return r->fd == -EBADMSG || r->fd == -ELOOP ?
		       err_set(reterr, -EBADMSG, "%s: is no regular file", name) :
		       err_errno(reterr, r->fd, "%s", name);
	r->size = max + RECORDS_LENGTH + CRIU_MAGIC_MAX;
	r->data = sys_malloc(r->size);
	error = r->data ? records_magic(r, kind, reterr) : err_set(reterr, -ENOMEM,
								  "out of memory");
	if (error < 0) {
		records_close(r);
		return err_wrap(reterr, error, "%s", name);
	}
	return 0;
}

int records_next(struct records *r, const void **ret_body, size_t *ret_len, struct err *reterr)
{
	for (;;) {
		int64_t n = criu_get_record(r->data + r->at, r->len - r->at, ret_body, ret_len,
					    reterr);
		int f;

		if (n > 0) {
			r->at += (size_t)n;
			return 1;
		}
		if (n < 0)
			return (int)n;
		if (r->end)
			return r->at == r->len ? 0 :
			       err_set(reterr, -EBADMSG, "is cut off in the middle of a record");
		if (*ret_len > r->size - RECORDS_LENGTH - CRIU_MAGIC_MAX)
			return err_set(reterr, -ENOTSUP, "a record of %zu bytes is longer than "
				       "any known here", *ret_len);
		f = records_fill(r, reterr);
		if (f < 0)
			return f;
	}
}

void records_close(struct records *r)
{
	if (r->fd >= 0)
		(void)sys_close(r->fd);
	free(r->data);
	*r = (struct records)RECORDS_INIT;
}
