/* SPDX-License-Identifier: MIT */
#include "lib/source.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/kit.h"
#include "lib/pattern.h"

#define SOURCE_SOCKET_MAX (UINT64_C(8) << 20)
#define SOURCE_PIPE_MAX (UINT64_C(512) << 10) /* what a pipe holds, unaligned */

const char *const source_names[SOURCE_KINDS] = { "file",    "direct-file", "memory", "mapped",
						 "process", "pipe",	   "tcp",    "unix" };
const char *const damage_names[DAMAGE_KINDS] = { "overwritten", "truncated", "punched", "unmapped",
						 "replaced" };

static bool source_on_file(const struct source *s)
{
	return s->kind == SOURCE_FILE || s->kind == SOURCE_DIRECT || s->kind == SOURCE_MAPPED ||
	       s->kind == SOURCE_TCP || s->kind == SOURCE_UNIX;
}

static uint64_t source_map_len(const struct source *s)
{
	return s->size ? (s->size + 4095) & ~UINT64_C(4095) : 4096;
}

static unsigned char *source_map(const struct source *s, int flags, int fd, void *at)
{
	void *p = mmap(at, source_map_len(s), PROT_READ | PROT_WRITE, flags, fd, 0);

	if (p == MAP_FAILED)
		kit_die("mmap: %m");
	return p;
}

static void source_open_memory(struct source *s)
{
	s->addr = source_map(s, MAP_PRIVATE | MAP_ANONYMOUS, -1, NULL);
	pattern_fill(s->addr, s->size, 0, PATTERN_OLD);
}

/*
 * The child has the same pages at the same address; this process has them no
 * more.  Each byte on the pipe is a damage to do; its end is the end.
 */
static void source_open_process(struct source *s)
{
	int fd[2];

	kit_must(pipe2(fd, O_CLOEXEC));
	source_open_memory(s);
	s->child = kit_must(fork());
	if (s->child == 0) {
		unsigned char how;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* nothing else is held open: readers wait for the end of pipes */
		kit_must(dup2(fd[0], 0));
		close_range(1, ~0u, 0);
		while (read(0, &how, 1) == 1 && how != DAMAGE_UNMAP) {
			if (how == DAMAGE_PUNCH)
				madvise(s->addr, source_map_len(s), MADV_DONTNEED);
			else
				pattern_fill(s->addr, s->size, 0, PATTERN_NEW);
			prctl(PR_SET_NAME, "damaged"); /* what the parent waits for */
		}
		_exit(0);
	}
	close(fd[0]);
	kit_must(munmap(s->addr, source_map_len(s)));
	s->fd = fd[1];
	s->end = decant_process(s->child, (uintptr_t)s->addr + s->offset);
}

static void source_fill_pipe(struct source *s)
{
	struct pair_options o = { .holds = s->len, .blocking = true };

	source_open_memory(s);
	pair_open(&s->pair, PAIR_PIPE, &o);
	for (uint64_t done = 0; done < s->len;) {
		struct iovec iov = { s->addr + s->offset + done, s->len - done };

		done += (uint64_t)kit_must(vmsplice(s->pair.out, &iov, 1, 0));
	}
	close(s->pair.out);
	s->pair.out = -1;
	s->end = decant_pipe(s->pair.in);
}

static void source_fill_socket(struct source *s)
{
	struct pair_options o = { .holds = s->len * 2, .blocking = true };
	off_t off = (off_t)s->offset;

	pair_open(&s->pair, s->kind == SOURCE_TCP ? PAIR_LOOPBACK : PAIR_UNIX, &o);
	while ((uint64_t)off < s->size)
		if (kit_must(sendfile(s->pair.out, s->fd, &off, s->size - (uint64_t)off)) == 0)
			kit_die("sendfile: the file is too short");
	close(s->pair.out);
	s->pair.out = -1;
	kit_must(fcntl(s->pair.in, F_SETFL, O_NONBLOCK));
	s->end = decant_socket(s->pair.in);
}

bool source_possible(enum source_kind kind, uint64_t len)
{
	if (kind == SOURCE_PIPE)
		return len <= SOURCE_PIPE_MAX;
	if (kind == SOURCE_TCP || kind == SOURCE_UNIX)
		return len <= SOURCE_SOCKET_MAX;
	return true;
}

void source_open(struct source *ret, enum source_kind kind, enum fs_kind fs, uint64_t offset,
		 uint64_t len)
{
	struct source *s = ret;

	*s = (struct source){ .kind = kind, .fs = fs, .offset = offset, .len = len, .fd = -1 };
	s->size = offset + len;
	s->pair.in = s->pair.out = -1;
	if (source_on_file(s))
		s->fd = fs_pattern_file(fs, s->size, &s->path);
	switch (kind) {
	case SOURCE_DIRECT:
		close(s->fd);
		s->fd = kit_must(open(s->path, O_RDWR | O_DIRECT | O_CLOEXEC));
		/* fall through */
	case SOURCE_FILE:
		s->end = decant_file(s->fd, offset);
		break;
	case SOURCE_MEMORY:
		source_open_memory(s);
		s->end = decant_memory(s->addr + offset, len);
		break;
	case SOURCE_MAPPED:
		s->addr = source_map(s, MAP_SHARED, s->fd, NULL);
		s->end = decant_memory(s->addr + offset, len);
		break;
	case SOURCE_PROCESS:
		source_open_process(s);
		break;
	case SOURCE_PIPE:
		source_fill_pipe(s);
		break;
	default:
		source_fill_socket(s);
	}
}

bool source_can(const struct source *s, enum damage how)
{
	switch (how) {
	case DAMAGE_OVERWRITE:
		return true;
	case DAMAGE_UNMAP:
		return s->kind >= SOURCE_MEMORY && s->kind <= SOURCE_PIPE;
	case DAMAGE_PUNCH:
		return s->kind != SOURCE_PIPE;
	case DAMAGE_TRUNCATE:
	case DAMAGE_REPLACE:
		return source_on_file(s);
	default:
		return false;
	}
}

/* The file's damages go through another, buffered descriptor: a stranger's. */
static void source_damage_file(struct source *s, enum damage how)
{
	int fd = kit_must(open(s->path, O_RDWR | O_CLOEXEC));
	char *other = NULL;
	int other_fd;

	switch (how) {
	case DAMAGE_OVERWRITE:
		pattern_write(fd, 0, s->size, PATTERN_NEW);
		break;
	case DAMAGE_PUNCH:
		if (s->size > 2)
			kit_must(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1,
					   (off_t)s->size - 2));
		else
			pattern_write(fd, 0, s->size, PATTERN_NEW);
		break;
	case DAMAGE_TRUNCATE:
		kit_must(ftruncate(fd, (off_t)(s->offset + s->len / 3)));
		kit_must(ftruncate(fd, (off_t)s->size));
		pattern_write(fd, s->offset + s->len / 2, s->size - s->offset - s->len / 2,
			      PATTERN_NEW);
		break;
	default:
		other_fd = fs_file(s->fs, &other);
		pattern_write(other_fd, 0, s->size, PATTERN_NEW);
		kit_must(rename(other, s->path));
		kit_must(ftruncate(fd, 0));
		pattern_write(fd, 0, s->size, PATTERN_NEW);
		close(other_fd);
		free(other);
	}
	close(fd);
}

static void source_damage_child(struct source *s, enum damage how)
{
	unsigned char byte = (unsigned char)how;
	char path[32], name[4] = "";
	int comm;

	kit_write_all(s->fd, &byte, 1, -1);
	if (how == DAMAGE_UNMAP) {
		waitpid(s->child, NULL, 0);
		s->child = 0;
		return;
	}
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)s->child);
	comm = kit_must(open(path, O_RDONLY | O_CLOEXEC));
	while (memcmp(name, "dama", 4) != 0) {
		kit_read_all(comm, name, 4, 0);
		kit_sleep_ms(1);
	}
	close(comm);
}

static void source_damage_memory(struct source *s, enum damage how)
{
	if (how == DAMAGE_UNMAP)
		source_map(s, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, s->addr);
	else if (how == DAMAGE_PUNCH)
		kit_must(madvise(s->addr, source_map_len(s), MADV_DONTNEED));
	pattern_fill(s->addr, s->size, 0, PATTERN_NEW);
}

void source_damage(struct source *s, enum damage how)
{
	if (s->kind == SOURCE_PROCESS)
		source_damage_child(s, how);
	else if (s->kind == SOURCE_MEMORY || s->kind == SOURCE_PIPE ||
		 (s->kind == SOURCE_MAPPED && how == DAMAGE_UNMAP))
		source_damage_memory(s, how);
	else
		source_damage_file(s, how);
}

void source_cut(struct source *s, uint64_t left)
{
	kit_must(ftruncate(s->fd, (off_t)(s->offset + left)));
}

void source_close(struct source *s)
{
	if (s->addr && s->kind != SOURCE_PROCESS)
		munmap(s->addr, source_map_len(s));
	if (s->fd >= 0)
		close(s->fd);
	if (s->child > 0)
		waitpid(s->child, NULL, 0);
	if (s->path)
		unlink(s->path);
	free(s->path);
	pair_close(&s->pair);
}
