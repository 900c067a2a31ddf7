/* SPDX-License-Identifier: MIT */
/* Loops written for the purpose, to files. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "bench.h"

static int loop_file_over(const struct setting *s)
{
	if (s->c->durable && fdatasync(s->to[0]) != 0)
		return -errno;
	return 0;
}

static int loop_file_read_write(struct setting *s, const struct mover *m, struct sample *ret)
{
	unsigned char *buffer = aligned_alloc(4096, m->n);
	int r = buffer ? 0 : -ENOMEM;

	(void)ret;
	for (uint64_t at = 0; r == 0 && at < s->c->piece;) {
		ssize_t n = pread(s->from[0], buffer, m->n, (off_t)at);

		if (n > 0)
			n = pwrite(s->to[0], buffer, (size_t)n, (off_t)at);
		if (n <= 0)
			r = n < 0 ? -errno : -ENODATA;
		else
			at += (uint64_t)n;
	}
	free(buffer);
	return r < 0 ? r : loop_file_over(s);
}

static int loop_file_copy_range(struct setting *s, const struct mover *m, struct sample *ret)
{
	loff_t from = 0, to = 0;

	(void)ret;
	while ((uint64_t)from < s->c->piece) {
		ssize_t n = copy_file_range(s->from[0], &from, s->to[0], &to, m->n, 0);

		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
	}
	return loop_file_over(s);
}

static int loop_file_sendfile(struct setting *s, const struct mover *m, struct sample *ret)
{
	off_t at = 0;

	(void)ret;
	while ((uint64_t)at < s->c->piece) {
		ssize_t n = sendfile(s->to[0], s->from[0], &at, m->n);

		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
	}
	return loop_file_over(s);
}

/* Memory, past the page cache. */
static int loop_file_direct(struct setting *s, const struct mover *m, struct sample *ret)
{
	int fd = open(s->to_path, O_WRONLY | O_DIRECT | O_CLOEXEC), r = fd < 0 ? -errno : 0;

	(void)ret;
	for (uint64_t at = 0; r == 0 && at < s->c->piece;) {
		ssize_t n = pwrite(fd, s->memory + at, m->n, (off_t)at);

		if (n <= 0)
			r = n < 0 ? -errno : -EIO;
		else
			at += (uint64_t)n;
	}
	if (fd >= 0)
		close(fd);
	return r < 0 ? r : loop_file_over(s);
}

static void loop_file_add(struct movers *ms, const char *name, uint64_t n,
			  int (*run)(struct setting *, const struct mover *, struct sample *))
{
	struct mover *m = movers_new(ms, "loop", name);

	m->run = run;
	m->n = n;
}

void loops_file_add(struct movers *ms, const struct setting *s)
{
	if (s->c->to != SINK_FILE)
		return;
	if (s->c->from_memory) {
		loop_file_add(ms, "pwrite O_DIRECT 1 MiB", MIB, loop_file_direct);
		loop_file_add(ms, "pwrite O_DIRECT 4 MiB", 4 * MIB, loop_file_direct);
		return;
	}
	loop_file_add(ms, "read+write 64 KiB", 64 * KIB, loop_file_read_write);
	loop_file_add(ms, "read+write 1 MiB", MIB, loop_file_read_write);
	loop_file_add(ms, "copy_file_range", GIB, loop_file_copy_range);
	loop_file_add(ms, "sendfile", GIB, loop_file_sendfile);
}
