/* SPDX-License-Identifier: MIT */
/*
 * clone-sendfile: FICLONERANGE into a file without a name, then sendfile(2)
 * from that.  The clone shares the file's blocks, and a write to the file goes
 * elsewhere: no copy, all bytes of one instant, and the file may change as
 * soon as the clone is there.  XFS, btrfs and their like.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "route/routes.h"
#include "route/sendfile.h"
#include "sys/sys.h"

struct clone_sendfile {
	int fd;
};

static const enum fact clone_sendfile_needs[] = { FACT_SENDFILE, FACT_NONE };

/* A nameless file next to the source; the name that /proc gives may be stale. */
static int clone_sendfile_create(const struct job *j)
{
	char link[32], path[PATH_MAX];
	char *slash;
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", j->from.fd);
	n = sys_readlink(link, path, sizeof(path));
	if (n < 0)
		return (int)n;
	slash = path[0] == '/' ? strrchr(path, '/') : NULL;
	if (!slash)
		return -ENOENT;
	slash[slash == path] = '\0';
	return sys_open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

/*
 * Only the blocks that are asked for: to clone a large file in many pieces
 * takes time, and its writers wait.  Where the range does not suit the file
 * system (its blocks are not st_blksize), all of it.
 */
static int clone_sendfile_clone(const struct job *j, int fd)
{
	uint64_t block = j->from.block_size ? j->from.block_size : 4096;
	uint64_t from = j->from.offset - j->from.offset % block, end, len = 0;
	uint64_t size = end_size_now(&j->from);
	int r;

	if (!__builtin_add_overflow(j->from.offset, j->len, &end) && end < size) {
		end += (block - end % block) % block;
		len = end < size ? end - from : 0; /* 0: to the end of the file */
	}
	r = sys_ficlonerange(fd, j->from.fd, from, len, from);
	return r < 0 ? sys_ficlone(fd, j->from.fd) : r;
}

static int clone_sendfile_start(struct job *j)
{
	struct clone_sendfile *s = sys_calloc(1, sizeof(*s));
	int r;

	if (!s)
		return job_fail(j, -ENOMEM, "clone-sendfile: no memory");
	s->fd = clone_sendfile_create(j);
	if (s->fd < 0) {
		r = s->fd;
		free(s);
		return job_fail(j, -EOPNOTSUPP, "clone: no file without a name next to the "
				"source: %s", strerror(-r));
	}
	r = clone_sendfile_clone(j, s->fd);
	if (r < 0) {
		(void)sys_close(s->fd);
		free(s);
		return job_fail(j, -EOPNOTSUPP, "clone: sharing the source's blocks: %s",
				strerror(-r));
	}
	j->priv = s;
	return 0;
}

static void clone_sendfile_finish(struct job *j)
{
	struct clone_sendfile *s = j->priv;

	/* The socket holds the pages, not the file. */
	(void)sys_close(s->fd);
	free(s);
	j->priv = NULL;
}

static int clone_sendfile_step(struct job *j)
{
	struct clone_sendfile *s = j->priv;
	uint64_t want;

	job_snapshotted(j, 0);
	want = job_want(j, UINT64_MAX);
	if (want == 0)
		return job_all_taken(j) ? STEP_DONE : STEP_WAIT;
	/* Never a plain step: that would read the source, which may be another now. */
	return sendfile_result(j, sendfile_piece(j, s->fd, want));
}

static bool clone_sendfile_fits(const struct query *q, struct fit *fit)
{
	if (!q->from->reflinks)
		return route_refuse(fit, "clone: this file system does not share blocks");
	if (caps_masked(q->caps, FACT_REFLINK))
		return route_refuse(fit, "clone: reflink is masked");
	if (!sendfile_fits_sink(q, fit, "sendfile(2)"))
		return false;
	fit->atomic = true;
	return route_note(fit, "all bytes of one instant; what is dirty goes to the disk first, "
			  "and the clone is read from there; the kernel may copy");
}

const struct route route_clone_sendfile = {
	.ops = { "clone-sendfile", clone_sendfile_start, clone_sendfile_step,
		 clone_sendfile_finish },
	.from_kinds = ROUTE_KIND(DECANT_END_FILE),
	.to_kinds = ROUTE_KIND(DECANT_END_SOCKET),
	.needs = clone_sendfile_needs,
	.copies = 0,
	.guarantee = DECANT_STABLE,
	.snapshotted = "as soon as the clone is there, before the first byte is sent",
	.fits = clone_sendfile_fits,
};
