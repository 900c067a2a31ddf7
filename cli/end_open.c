/* SPDX-License-Identifier: MIT */
#include "end_open.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A descriptor that was handed to us: it must be open, and the right way round. */
static int end_open_given(struct end_open *e, struct err *reterr)
{
	int flags = fcntl(e->spec->fd, F_GETFL);
	int way = flags & O_ACCMODE;

	if (flags < 0)
		return err_errno(reterr, -errno, "%s", e->spec->text);
	if (e->sink ? way == O_RDONLY : way == O_WRONLY)
		return err_set(reterr, -EBADF, "%s: is not open for %s", e->spec->text,
			       e->sink ? "writing" : "reading");
	e->fd = e->spec->fd;
	if (fstat(e->fd, &e->st) < 0)
		return err_errno(reterr, -errno, "%s", e->spec->text);
	if (S_ISDIR(e->st.st_mode))
		return err_set(reterr, -EISDIR, "%s: is a directory", e->spec->text);
	return 0;
}

static int end_open_memory(struct end_open *e, struct err *reterr)
{
	int r = memory_open(&e->memory, e->spec->size_bytes, e->plan_only);

	if (r < 0)
		return err_errno(reterr, r, "%s", e->spec->text);
	if (!e->sink && !e->plan_only)
		memory_fill(&e->memory, 0);
	return 0;
}

static int end_open_listen(struct end_open *e, struct waiter *w, struct err *reterr)
{
	const struct end_spec *s = e->spec;

	if (s->kind == END_SPEC_TCP_LISTEN) {
		e->listen_fd = net_tcp_listen(s->host, s->port, e->listening, &e->listen_port, w,
					      reterr);
		return e->listen_fd < 0 ? e->listen_fd : 0;
	}
	e->listen_fd = net_unix_listen(s->path, reterr);
	if (e->listen_fd < 0)
		return e->listen_fd;
	e->unlink_socket = true;
	return 0;
}

int end_open_prepare(struct end_open *ret, const struct end_spec *spec, bool sink, bool plan_only,
		     const struct copy_options *o, struct waiter *w, struct err *reterr)
{
	*ret = (struct end_open){
		.spec = spec, .sink = sink, .plan_only = plan_only, .fd = -1, .listen_fd = -1,
		.stand_in = -1, .memory = MEMORY_INIT, .out = OUT_FILE_INIT,
	};
	switch (spec->kind) {
	case END_SPEC_PATH:
		return end_path_prepare(ret, o, reterr);
	case END_SPEC_STANDARD:
	case END_SPEC_FD:
		return end_open_given(ret, reterr);
	case END_SPEC_MEMORY:
		return end_open_memory(ret, reterr);
	case END_SPEC_TCP_LISTEN:
	case END_SPEC_UNIX_LISTEN:
		return plan_only ? 0 : end_open_listen(ret, w, reterr);
	default:
		return 0;
	}
}

/* The source's bytes, as [start, end); false: no file, or no idea. */
static bool end_open_range(const struct end_open *from, const struct copy_options *o,
			   uint64_t *start, uint64_t *end)
{
	off_t at = 0;

	if (!S_ISREG(from->st.st_mode) && !S_ISBLK(from->st.st_mode))
		return false;
	if (o->offset == COPY_NOT_SAID && from->spec->kind != END_SPEC_PATH)
		at = lseek(from->fd, 0, SEEK_CUR);
	if (at < 0)
		return false;
	*start = o->offset != COPY_NOT_SAID ? o->offset : (uint64_t)at;
	*end = S_ISBLK(from->st.st_mode) ? (uint64_t)lseek(from->fd, 0, SEEK_END) :
					   (uint64_t)from->st.st_size;
	if (S_ISBLK(from->st.st_mode))
		(void)lseek(from->fd, at, SEEK_SET);
	if (o->length != COPY_NOT_SAID)
		*end = *start + o->length;
	return *end >= *start;
}

uint64_t end_open_expected(const struct end_open *from, const struct copy_options *o)
{
	uint64_t start, end;

	if (o->length != COPY_NOT_SAID)
		return o->length;
	if (from->spec->kind == END_SPEC_ZERO)
		return from->spec->size_bytes;
	if (from->spec->kind == END_SPEC_MEMORY)
		return from->spec->size_bytes - (o->offset == COPY_NOT_SAID ? 0 : o->offset);
	return end_open_range(from, o, &start, &end) ? end - start : DECANT_TO_END;
}

int end_open_check_same(const struct end_open *from, const struct end_open *to,
			const struct copy_options *o, struct err *reterr)
{
	uint64_t start, end, at = o->to_offset;

	/* Files of /proc say that they are empty. */
	if (S_ISREG(from->st.st_mode) && from->st.st_size && o->offset != COPY_NOT_SAID &&
	    o->offset > (uint64_t)from->st.st_size)
		return err_set(reterr, -ENODATA, "%s: ends at %llu, before --offset %llu",
			       from->spec->text, (unsigned long long)from->st.st_size,
			       (unsigned long long)o->offset);
	if (from->fd < 0 || to->st.st_mode == 0 || from->st.st_mode == 0)
		return 0;
	if (!S_ISREG(from->st.st_mode) && !S_ISBLK(from->st.st_mode))
		return 0;
	if (S_ISBLK(from->st.st_mode) ? !S_ISBLK(to->st.st_mode) ||
					from->st.st_rdev != to->st.st_rdev :
					from->st.st_dev != to->st.st_dev ||
					from->st.st_ino != to->st.st_ino)
		return 0;
	if (at == COPY_NOT_SAID)
		return err_set(reterr, -EINVAL, "%s and %s: are the same file", from->spec->text,
			       to->spec->text);
	if (!end_open_range(from, o, &start, &end) || (at < end && start < at + (end - start)))
		return err_set(reterr, -EINVAL, "%s and %s: are the same file, and the parts "
			       "overlap", from->spec->text, to->spec->text);
	return 0;
}

/* The listening side is not needed once somebody came. */
static void end_open_stop_listening(struct end_open *e)
{
	if (e->listen_fd >= 0)
		(void)close(e->listen_fd);
	e->listen_fd = -1;
	if (e->unlink_socket)
		(void)unlink(e->spec->path);
	e->unlink_socket = false;
}

static int end_open_peer(struct end_open *e, struct waiter *w, struct err *reterr)
{
	const struct end_spec *s = e->spec;
	int fd;

	if (e->plan_only)
		return end_plan_socket(e, reterr);
	if (e->listen_fd >= 0)
		fd = net_accept(e->listen_fd, w, reterr);
	else if (s->kind == END_SPEC_TCP)
		fd = net_tcp_connect(s->host, s->port, w, reterr);
	else
		fd = net_unix_connect(s->path, w, reterr);
	end_open_stop_listening(e);
	if (fd < 0)
		return err_wrap(reterr, fd, "%s", s->text);
	e->fd = fd;
	e->own_fd = true;
	return fstat(fd, &e->st) < 0 ? err_errno(reterr, -errno, "%s", s->text) : 0;
}

static struct decant_end end_open_fd(const struct end_open *e, uint64_t offset)
{
	bool given = e->spec->kind == END_SPEC_STANDARD || e->spec->kind == END_SPEC_FD;
	mode_t mode = e->st.st_mode;

	/* A file of our own making was not looked at: it is a regular one. */
	if (e->out.fd >= 0 || S_ISREG(mode) || S_ISBLK(mode)) {
		if (offset == COPY_NOT_SAID)
			offset = given ? DECANT_CURRENT : 0;
		return decant_file(e->fd, offset);
	}
	if (S_ISFIFO(mode))
		return decant_pipe(e->fd);
	return S_ISSOCK(mode) ? decant_socket(e->fd) : decant_fd(e->fd);
}

int end_open_connect(struct end_open *e, const struct copy_options *o, struct waiter *w,
		     struct err *reterr)
{
	uint64_t offset = e->sink ? o->to_offset : o->offset;
	int r = 0;

	if (e->spec->kind == END_SPEC_PATH)
		r = end_path_connect(e, w, reterr);
	else if (end_spec_is_socket(e->spec))
		r = end_open_peer(e, w, reterr);
	if (r < 0)
		return r;
	if (e->spec->kind == END_SPEC_NULL) {
		e->end = decant_null();
	} else if (e->spec->kind == END_SPEC_ZERO) {
		e->end = decant_zero();
	} else if (e->spec->kind == END_SPEC_MEMORY) {
		offset = offset == COPY_NOT_SAID ? 0 : offset;
		e->end = decant_memory(e->memory.data + offset, e->memory.len_bytes - offset);
	} else {
		e->end = end_open_fd(e, offset);
	}
	if (offset != COPY_NOT_SAID && offset && e->fd >= 0 && e->end.kind != DECANT_END_FILE)
		return err_set(reterr, -ESPIPE, "%s: has no offsets", e->spec->text);
	/* A socket that was handed to us is not ours to slow down for ever. */
	if (e->sink && o->rate_bytes && e->own_fd && S_ISSOCK(e->st.st_mode) && !e->plan_only)
		net_pace(e->fd, o->rate_bytes);
	return 0;
}

int end_open_flush(const struct end_open *e, struct err *reterr)
{
	int copy;

	if (e->fd < 0 || e->end.kind != DECANT_END_FILE)
		return 0;
	copy = fcntl(e->fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0 || close(copy) < 0)
		return err_errno(reterr, -errno, "%s: writing it home", e->spec->text);
	return 0;
}

void end_open_close(struct end_open *e, bool aborted)
{
	if (e->fd >= 0 && e->own_fd) {
		if (e->sink && S_ISSOCK(e->st.st_mode))
			(aborted ? net_abort : net_finish)(e->fd);
		(void)close(e->fd);
	}
	if (e->stand_in >= 0)
		(void)close(e->stand_in);
	end_open_stop_listening(e);
	out_file_deinit(&e->out);
	memory_close(&e->memory);
	e->fd = e->stand_in = -1;
}
