/* SPDX-License-Identifier: MIT */
/* Paths as ends: files, devices, FIFOs. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "end_open.h"

/* Whether a FIFO has a reader can only be found out by trying. */
#define END_PATH_RETRY_NS UINT64_C(20000000)

static int end_path_opened(struct end_open *e, int fd, struct err *reterr)
{
	if (fd < 0)
		return err_errno(reterr, -errno, "%s", e->spec->path);
	e->fd = fd;
	e->own_fd = true;
	if (fstat(fd, &e->st) < 0)
		return err_errno(reterr, -errno, "%s", e->spec->path);
	return 0;
}

static int end_path_source(struct end_open *e, struct err *reterr)
{
	const int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY;
	const char *path = e->spec->path;
	int fd, r;

	if (stat(path, &e->st) < 0)
		return err_errno(reterr, -errno, "%s", path);
	if (S_ISFIFO(e->st.st_mode) && e->plan_only)
		return end_plan_pipe(e, reterr);
	/* O_NONBLOCK: a FIFO without a writer is waited for later, and with a limit. */
	fd = open(path, flags | O_NONBLOCK);
	if (fd < 0 && errno == EWOULDBLOCK)
		fd = open(path, flags); /* somebody holds a lease on the file */
	r = end_path_opened(e, fd, reterr);
	if (r < 0)
		return r;
	if (S_ISDIR(e->st.st_mode))
		return err_set(reterr, -EISDIR, "%s: is a directory", path);
	return 0;
}

/* Write into what is at the path, or make it there at once. */
static int end_path_direct(struct end_open *e, const struct copy_options *o, bool exists,
			   struct err *reterr)
{
	int flags = O_WRONLY | O_CLOEXEC | O_NOCTTY;
	mode_t mode = o->mode <= 0777 ? o->mode : 0666;

	if (!exists)
		flags |= O_CREAT | O_EXCL;
	else if (S_ISBLK(e->st.st_mode) && !o->force)
		flags |= O_EXCL; /* -EBUSY where it is mounted or otherwise in use */
	return end_path_opened(e, open(e->spec->path, flags, mode), reterr);
}

/* A file that is complete or absent.  A plan is made with one that stays nameless. */
static int end_path_out(struct end_open *e, const struct copy_options *o, struct err *reterr)
{
	int r = out_file_open(&e->out, e->spec->path, o->force, e->plan_only, reterr);

	if (r == -EOPNOTSUPP && e->plan_only)
		return end_plan_file(e, reterr);
	e->fd = e->out.fd;
	return r;
}

static int end_path_new(struct end_open *e, const struct copy_options *o, struct err *reterr)
{
	struct stat st;

	if (lstat(e->spec->path, &st) == 0 && S_ISLNK(st.st_mode))
		return err_set(reterr, -ENOENT, "%s: is a link to nothing", e->spec->path);
	if (o->to_offset != COPY_NOT_SAID && !e->plan_only)
		return end_path_direct(e, o, false, reterr);
	return end_path_out(e, o, reterr);
}

static int end_path_sink(struct end_open *e, const struct copy_options *o, struct err *reterr)
{
	const char *path = e->spec->path;

	if (stat(path, &e->st) < 0) {
		if (errno != ENOENT)
			return err_errno(reterr, -errno, "%s", path);
		e->st.st_mode = 0;
		return end_path_new(e, o, reterr);
	}
	switch (e->st.st_mode & S_IFMT) {
	case S_IFDIR:
		return err_set(reterr, -EISDIR, "%s: is a directory", path);
	case S_IFSOCK:
		return err_set(reterr, -ENXIO, "%s: is a socket", path);
	case S_IFIFO:
		if (e->plan_only)
			return end_plan_pipe(e, reterr);
		e->wait_fifo = true;
		return 0;
	case S_IFREG:
		if (o->in_place || o->to_offset != COPY_NOT_SAID) {
			e->truncate = o->to_offset == COPY_NOT_SAID;
			return end_path_direct(e, o, true, reterr);
		}
		if (!o->force)
			return err_set(reterr, -EEXIST, "%s: the file exists", path);
		return end_path_out(e, o, reterr);
	default:
		return end_path_direct(e, o, true, reterr);
	}
}

int end_path_prepare(struct end_open *e, const struct copy_options *o, struct err *reterr)
{
	return e->sink ? end_path_sink(e, o, reterr) : end_path_source(e, reterr);
}

static int end_path_gave_up(struct end_open *e, int r, const char *whom, struct err *reterr)
{
	if (r == -ETIMEDOUT)
		return err_set(reterr, r, "%s: nobody %s the FIFO in time", e->spec->path, whom);
	if (r == -ECANCELED)
		return err_set(reterr, r, "%s: interrupted", e->spec->path);
	return err_errno(reterr, r, "%s", e->spec->path);
}

static int end_path_wait_reader(struct end_open *e, struct waiter *w, struct err *reterr)
{
	uint64_t deadline_ns = waiter_deadline(w);

	for (;;) {
		uint64_t again_ns = waiter_now_ns() + END_PATH_RETRY_NS;
		int fd = open(e->spec->path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
		int r;

		if (fd >= 0 || errno != ENXIO)
			return end_path_opened(e, fd, reterr);
		if (deadline_ns && again_ns > deadline_ns)
			again_ns = deadline_ns;
		r = waiter_fd(w, -1, 0, again_ns);
		if (r == -ETIMEDOUT && (!deadline_ns || again_ns < deadline_ns))
			continue;
		return end_path_gave_up(e, r, "reads", reterr);
	}
}

int end_path_connect(struct end_open *e, struct waiter *w, struct err *reterr)
{
	int r;

	if (e->wait_fifo)
		return end_path_wait_reader(e, w, reterr);
	if (!e->sink && !e->plan_only && S_ISFIFO(e->st.st_mode)) {
		/* Before the first writer a FIFO reads as ended, but does not poll so. */
		r = waiter_fd(w, e->fd, POLLIN, waiter_deadline(w));
		return r < 0 ? end_path_gave_up(e, r, "writes to", reterr) : 0;
	}
	if (e->truncate && !e->plan_only && ftruncate(e->fd, 0) < 0)
		return err_errno(reterr, -errno, "%s: emptying it", e->spec->path);
	return 0;
}
