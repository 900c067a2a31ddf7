/* SPDX-License-Identifier: MIT */
#include "serve/journal.h"

#include <errno.h>

#include "sys/sys.h"

#define JOURNAL_KEEP_BYTES (1u << 20)
/* So much a pipe takes whole when it polls writable. */
#define JOURNAL_PIPE_BYTES 4096u

struct journal {
	int fd;
	bool json;
	bool stream;         /* a reader may be slow: ask before each write */
	struct buf lines;
	size_t at;           /* of lines, written */
	_Atomic uint64_t *lost;
};

int journal_create(struct journal **ret, int fd, bool json, _Atomic uint64_t *lost)
{
	struct journal *j = sys_calloc(1, sizeof(*j));
	struct stat st;

	if (!j)
		return -ENOMEM;
	j->fd = fd;
	j->json = json;
	j->lost = lost;
	j->stream = sys_fstat(fd, &st) < 0 || !S_ISREG(st.st_mode);
	*ret = j;
	return 0;
}

void journal_destroy(struct journal *j)
{
	if (!j)
		return;
	(void)journal_flush(j);
	buf_free(&j->lines);
	free(j);
}

void journal_add(struct journal *j, const struct log_entry *e)
{
	size_t before = j->lines.len;

	if (j->lines.len - j->at > JOURNAL_KEEP_BYTES) {
		atomic_fetch_add(j->lost, 1);
		return;
	}
	if (j->json)
		log_json(&j->lines, e);
	else
		log_common(&j->lines, e);
	if (j->lines.error == 0)
		return;
	/* No memory: whole lines stay. */
	j->lines.error = 0;
	j->lines.len = before;
	atomic_fetch_add(j->lost, 1);
}

/* Up to the last line that ends within max; one that is longer goes in pieces. */
static size_t journal_piece(const char *s, size_t len, size_t max)
{
	size_t n = len < max ? len : max;

	while (n > 0 && s[n - 1] != '\n')
		n--;
	return n ? n : len < max ? len : max;
}

bool journal_flush(struct journal *j)
{
	struct pollfd p = { .fd = j->fd, .events = POLLOUT };

	while (j->at < j->lines.len) {
		size_t left = j->lines.len - j->at;
		ssize_t n;

		if (j->stream && (sys_poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT)))
			return true;
		n = sys_write(j->fd, j->lines.data + j->at,
			      journal_piece(j->lines.data + j->at, left,
					    j->stream ? JOURNAL_PIPE_BYTES : left));
		if (n == -EAGAIN)
			return true;
		if (n < 0) {
			/* A full disk, a reader that has gone: what is lost is counted. */
			for (size_t i = j->at; i < j->lines.len; i++)
				if (j->lines.data[i] == '\n')
					atomic_fetch_add(j->lost, 1);
			break;
		}
		j->at += (size_t)n;
	}
	buf_clear(&j->lines);
	j->at = 0;
	return false;
}
