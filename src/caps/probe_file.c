/* SPDX-License-Identifier: MIT */
/* What the file system in $TMPDIR, and the kernel for files, can do. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "caps/probe.h"
#include "sys/sys.h"
#include "uapi/rwf.h"
#include "uapi/statx.h"

void probe_copy_file_range(struct caps *c, struct probe *p)
{
	unsigned char page[PROBE_PAGE_BYTES];
	_cleanup_close_ int from = probe_temp_page_file(p), to = -1;
	uint64_t from_off = 0, to_off = 0;
	ssize_t n;
	int r;

	(void)c;
	if (from < 0)
		return;
	to = probe_temp_page_file(p); /* of the same kind; its pages are replaced */
	if (to < 0)
		return;
	r = sys_ftruncate(to, 0);
	if (r < 0) {
		probe_untried(p, r, "ftruncate");
		return;
	}
	n = sys_copy_file_range(from, &from_off, to, &to_off, sizeof(page), 0);
	if (n < 0) {
		probe_refused(p, (int)n, "copy_file_range between files in %s", probe_dir());
		return;
	}
	if (n == 0) {
		probe_no(p, "copy_file_range between files in %s: moved nothing", probe_dir());
		return;
	}
	n = sys_pread(to, page, (size_t)n, 0);
	if (n < 0)
		probe_untried(p, (int)n, "pread");
	else if (n == 0 || !probe_all_are(page, (size_t)n, 'A'))
		probe_no(p, "copy_file_range between files in %s: wrong bytes", probe_dir());
	else
		probe_yes(p, 0, "copied a page between files in %s", probe_dir());
}

void probe_reflink(struct caps *c, struct probe *p)
{
	_cleanup_close_ int from = probe_temp_file(p), to = -1;
	unsigned char page[PROBE_PAGE_BYTES];
	int r;

	(void)c;
	if (from < 0)
		return;
	to = probe_temp_file(p);
	if (to < 0)
		return;
	memset(page, 'A', sizeof(page));
	r = probe_write_all(from, page, sizeof(page), 0);
	if (r < 0) {
		probe_untried(p, r, "write to a temporary file in %s", probe_dir());
		return;
	}
	r = sys_ficlone(to, from);
	if (r < 0)
		probe_refused(p, r, "FICLONE in %s", probe_dir());
	else
		probe_yes(p, 0, "cloned a file in %s", probe_dir());
}

/* Where statx does not tell: does a read of so many bytes at that offset work? */
static bool probe_direct_read(int fd, unsigned char *buf, uint32_t align, int *ret)
{
	ssize_t n = sys_pread(fd, buf + align, align, align);

	*ret = n < 0 ? (int)n : 0;
	return n == (ssize_t)align;
}

static void probe_direct_by_trying(struct probe *p, int fd)
{
	_cleanup_free_ unsigned char *buf = sys_aligned_alloc(4096, 3 * 4096);
	int r;

	if (!buf) {
		probe_untried(p, -ENOMEM, "memory");
		return;
	}
	if (probe_direct_read(fd, buf, 512, &r))
		probe_yes(p, 512, "O_DIRECT in %s: a read at offset 512 works", probe_dir());
	else if (probe_direct_read(fd, buf, 4096, &r))
		probe_yes(p, 4096, "O_DIRECT in %s: a read at offset 4096 works", probe_dir());
	else if (r < 0)
		probe_refused(p, r, "O_DIRECT read in %s", probe_dir());
	else
		probe_no(p, "O_DIRECT in %s: a read comes short", probe_dir());
}

void probe_o_direct(struct caps *c, struct probe *p)
{
	unsigned char page[2 * PROBE_PAGE_BYTES];
	_cleanup_close_ int fd = probe_temp_file(p);
	struct statx stx = { 0 };
	int r;

	if (fd < 0)
		return;
	memset(page, 'A', sizeof(page));
	r = probe_write_all(fd, page, sizeof(page), 0);
	if (r < 0) {
		probe_untried(p, r, "write to a temporary file in %s", probe_dir());
		return;
	}
	r = sys_setfl(fd, O_DIRECT);
	if (r < 0) {
		probe_refused(p, r, "O_DIRECT on a file in %s", probe_dir());
		return;
	}
	if (!caps_has(c, FACT_STATX_DIOALIGN)) {
		probe_direct_by_trying(p, fd);
		return;
	}
	r = sys_statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx);
	if (r < 0 || !(stx.stx_mask & STATX_DIOALIGN))
		probe_direct_by_trying(p, fd);
	else if (stx.stx_dio_offset_align == 0)
		probe_no(p, "O_DIRECT in %s: statx says that the file has none", probe_dir());
	else
		probe_yes(p, stx.stx_dio_offset_align,
			  "statx of a file in %s: offsets in steps of %" PRIu32
			  ", memory of %" PRIu32, probe_dir(), stx.stx_dio_offset_align,
			  stx.stx_dio_mem_align);
}

/*
 * The kernel may know it where the file system in $TMPDIR does not, so our own
 * program's file is asked too.
 */
static void probe_statx(struct probe *p, const char *what, unsigned mask, uint64_t attribute)
{
	_cleanup_close_ int fd = probe_temp_file(p);
	int r = 0, program;

	if (fd < 0)
		return;
	for (program = 0; program <= 1; program++) {
		struct statx stx = { 0 };

		if (program)
			r = sys_statx(AT_FDCWD, "/proc/self/exe", 0, mask, &stx);
		else
			r = sys_statx(fd, "", AT_EMPTY_PATH, mask, &stx);
		if (r == 0 && (attribute ? stx.stx_attributes_mask & attribute
					 : stx.stx_mask & mask)) {
			probe_yes(p, 0, "statx of %s%s tells %s", program ? "/proc/self/exe" :
				  "a file in ", program ? "" : probe_dir(), what);
			return;
		}
	}
	if (r < 0)
		probe_refused(p, r, "statx");
	else
		probe_no(p, "statx tells no %s, neither of a file in %s nor of /proc/self/exe",
			 what, probe_dir());
}

void probe_statx_dioalign(struct caps *c, struct probe *p)
{
	(void)c;
	probe_statx(p, "O_DIRECT alignment", STATX_DIOALIGN, 0);
}

void probe_verity(struct caps *c, struct probe *p)
{
	(void)c;
	probe_statx(p, "fs-verity", STATX_BASIC_STATS, STATX_ATTR_VERITY);
}

/* As with statx: the file system in $TMPDIR may be one (tmpfs) that cannot. */
void probe_file_nowait(struct caps *c, struct probe *p)
{
	_cleanup_close_ int file = probe_temp_file(p), program = -1;
	char byte = 'A';
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	const char *of = probe_dir();
	ssize_t n;
	int r;

	(void)c;
	if (file < 0)
		return;
	r = probe_write_all(file, &byte, 1, 0);
	if (r < 0) {
		probe_untried(p, r, "write to a temporary file in %s", of);
		return;
	}
	n = sys_preadv2(file, &iov, 1, 0, RWF_NOWAIT);
	if (n == -EOPNOTSUPP) {
		program = sys_open("/proc/self/exe", O_RDONLY | O_CLOEXEC, 0);
		if (program >= 0) {
			of = "/proc/self/exe";
			n = sys_preadv2(program, &iov, 1, 0, RWF_NOWAIT);
		}
	}
	if (n == 1 || n == -EAGAIN) /* EAGAIN: it would have had to wait for the disk */
		probe_yes(p, 0, "preadv2(RWF_NOWAIT) of %s: %s", of,
			  n == 1 ? "read it" : "did not wait");
	else if (n < 0)
		probe_refused(p, (int)n, "preadv2(RWF_NOWAIT) of %s", of);
	else
		probe_no(p, "preadv2(RWF_NOWAIT) of %s: read nothing", of);
}
