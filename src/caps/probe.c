/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "caps/probe.h"
#include "sys/sys.h"

#define PROBE_NAME_TRIES 8
#define PROBE_UNLINK_TRIES 4

/* ----------------------------------------------------------------- outcome */

void probe_yes(struct probe *p, uint64_t value, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)err_setv(&p->why, 0, fmt, ap);
	va_end(ap);
	p->value = value;
	p->state = FACT_YES;
}

void probe_no(struct probe *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)err_setv(&p->why, 0, fmt, ap);
	va_end(ap);
	p->state = FACT_NO;
}

static bool probe_short_of_something(int code)
{
	switch (code) {
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
	case -ENOSPC:
	case -EDQUOT:
	case -EINTR:
		return true;
	default:
		return false;
	}
}

void probe_refused(struct probe *p, int code, const char *fmt, ...)
{
	struct err what;
	va_list ap;

	va_start(ap, fmt);
	(void)err_setv(&what, 0, fmt, ap);
	va_end(ap);
	(void)err_errno(&p->why, code, "%s", what.text);
	p->passing = probe_short_of_something(code);
	p->state = p->passing ? FACT_UNKNOWN : FACT_NO;
}

void probe_untried(struct probe *p, int code, const char *fmt, ...)
{
	struct err what;
	va_list ap;

	va_start(ap, fmt);
	(void)err_setv(&what, 0, fmt, ap);
	va_end(ap);
	(void)err_errno(&p->why, code, "could not be tried: %s", what.text);
	p->passing = probe_short_of_something(code);
	p->state = FACT_UNKNOWN;
}

/* ------------------------------------------------------------------- files */

const char *probe_dir(void)
{
	const char *dir = secure_getenv("TMPDIR");

	return dir && *dir ? dir : "/tmp";
}

/* For file systems without O_TMPFILE: a name, for as short as can be. */
static int probe_named_file(const char *dir)
{
	char path[4096];
	int fd, n, tries;

	for (tries = 0; tries < PROBE_NAME_TRIES; tries++) {
		n = snprintf(path, sizeof(path), "%s/.decant-probe-%d-%" PRIx64, dir,
			     (int)sys_getpid(), sys_clock_ns());
		if (n < 0 || (size_t)n >= sizeof(path))
			return -ENAMETOOLONG;
		fd = sys_open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd == -EEXIST)
			continue;
		if (fd < 0)
			return fd;
		for (n = 0; n < PROBE_UNLINK_TRIES && sys_unlink(path) < 0; n++)
			;
		return fd;
	}
	return -EEXIST;
}

int probe_temp_file(struct probe *p)
{
	const char *dir = probe_dir();
	int fd = sys_open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	/* EISDIR, EINVAL: kernels that do not know the flag. */
	if (fd == -EOPNOTSUPP || fd == -EISDIR || fd == -EINVAL)
		fd = probe_named_file(dir);
	if (fd < 0)
		probe_untried(p, fd, "temporary file in %s", dir);
	return fd;
}

int probe_temp_page_file(struct probe *p)
{
	unsigned char page[2 * PROBE_PAGE_BYTES];
	int fd = probe_temp_file(p), r;

	if (fd < 0 && fd != -EMFILE && fd != -ENFILE)
		fd = sys_memfd_create("decant-probe", MFD_CLOEXEC);
	if (fd < 0)
		return fd;
	memset(page, 'A', sizeof(page));
	r = probe_write_all(fd, page, sizeof(page), 0);
	if (r < 0) {
		probe_untried(p, r, "write to a temporary file in %s", probe_dir());
		(void)sys_close(fd);
		return r;
	}
	return fd;
}

int probe_reopen(int fd, int flags)
{
	char path[40];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return sys_open(path, flags | O_CLOEXEC, 0);
}

int probe_read_text(const char *path, char *buf, size_t size)
{
	int fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
	ssize_t n;

	buf[0] = '\0';
	if (fd < 0)
		return fd;
	n = sys_read(fd, buf, size - 1);
	(void)sys_close(fd);
	if (n < 0)
		return (int)n;
	buf[n] = '\0';
	return 0;
}

int probe_write_all(int fd, const void *buf, size_t len, uint64_t off)
{
	const char *p = buf;
	ssize_t n;

	while (len > 0) {
		n = sys_pwrite(fd, p, len, off);
		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int probe_read_all(int fd, void *buf, size_t len)
{
	char *p = buf;
	ssize_t n;

	while (len > 0) {
		n = sys_read(fd, p, len);
		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

bool probe_all_are(const unsigned char *buf, size_t len, unsigned char c)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (buf[i] != c)
			return false;
	return true;
}
