/* SPDX-License-Identifier: MIT */
/* Holes of a source file, and the same holes in the sink. */
#include <errno.h>
#include <linux/falloc.h>

#include "route/holes.h"
#include "route/reopen.h"
#include "sys/sys.h"

#define HOLES_ZEROS_BYTES 65536u
#define HOLES_BLOCK_BYTES 4096u /* at least a file system's block */

static unsigned char holes_zeros[HOLES_ZEROS_BYTES]; /* never written */

static uint64_t holes_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void holes_open(struct holes *h, struct job *j)
{
	const struct end *from = &j->from, *to = &j->to;
	struct stat st;

	*h = (struct holes){ .from_fd = -1, .to_fd = to->io_fd };
	if (from->kind != DECANT_END_FILE || from->block_device)
		return;
	if (to->kind != DECANT_END_FILE || to->block_device || to->append)
		return;
	/*
	 * A file that has all its blocks is not opened anew for nothing: few
	 * files have holes, and reopen.h says what the close costs.
	 */
	if (sys_fstat(from->io_fd, &st) < 0 || st.st_size <= 0 ||
	    (uint64_t)st.st_blocks * 512 >= (uint64_t)st.st_size)
		return;
	if (sys_fstat(to->io_fd, &st) < 0)
		return;
	h->to_size = (uint64_t)st.st_size;
	h->from_fd = reopen_read(from);
	if (h->from_fd < 0)
		h->from_fd = -1;
}

void holes_close(struct holes *h)
{
	if (h->from_fd >= 0)
		(void)sys_close(h->from_fd);
	h->from_fd = -1;
}

/* Nothing but holes up to the end of the file, or nothing at all. */
static void holes_seek_end(struct holes *h, uint64_t off)
{
	struct stat st;
	bool inside = sys_fstat(h->from_fd, &st) == 0 && off < (uint64_t)st.st_size;

	h->run_hole = inside;
	h->run_end = inside ? (uint64_t)st.st_size : UINT64_MAX;
}

static void holes_seek(struct holes *h, uint64_t off)
{
	int64_t data = sys_lseek(h->from_fd, (int64_t)off, SEEK_DATA);
	int64_t hole;

	h->run_start = off;
	h->run_hole = false;
	h->run_end = UINT64_MAX;
	if (data == -ENXIO) {
		holes_seek_end(h, off);
	} else if (data < 0) {
		holes_close(h);
	} else if ((uint64_t)data > off) {
		h->run_hole = true;
		h->run_end = (uint64_t)data;
	} else {
		hole = sys_lseek(h->from_fd, (int64_t)off, SEEK_HOLE);
		if (hole > (int64_t)off)
			h->run_end = (uint64_t)hole;
	}
}

uint64_t holes_run(struct holes *h, uint64_t off, uint64_t max, bool *ret_hole)
{
	*ret_hole = false;
	if (h->from_fd < 0)
		return max;
	if (off < h->run_start || off >= h->run_end)
		holes_seek(h, off);
	*ret_hole = h->run_hole;
	return holes_min(max, h->run_end - off);
}

static int holes_write_zeros(struct holes *h, uint64_t off, uint64_t len)
{
	while (len) {
		ssize_t n = sys_pwrite(h->to_fd, holes_zeros, holes_min(len, HOLES_ZEROS_BYTES),
				       off);

		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

int holes_skip(struct holes *h, uint64_t off, uint64_t len)
{
	uint64_t old = off < h->to_size ? holes_min(len, h->to_size - off) : 0;

	/* What the sink had there before must go; with its last block, though the
	 * file ended within. */
	if (old && sys_fallocate(h->to_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len)) {
		int r = holes_write_zeros(h, off, old);

		if (r < 0)
			return r;
	}
	if (off != h->hole_end)
		h->hole_start = off;
	h->hole_end = off + len;
	return 0;
}

/*
 * Not with ftruncate(2) where that can be helped: another transfer may write
 * behind us in the same file, between our look at its size and the cut.
 */
int holes_settle(struct holes *h)
{
	uint64_t end = h->hole_end;
	struct stat st;
	int r;

	if (!end)
		return 0;
	r = sys_fstat(h->to_fd, &st);
	if (r < 0)
		return r;
	if ((uint64_t)st.st_size >= end)
		return 0;
	if (sys_fallocate(h->to_fd, 0, end - 1, 1) < 0)
		return sys_ftruncate(h->to_fd, end);
	/* Give back the block that this took.  One that the file ends in stays
	 * allocated, but unwritten: punched in part it would become data. */
	if (end % HOLES_BLOCK_BYTES == 0 && end - h->hole_start >= HOLES_BLOCK_BYTES)
		(void)sys_fallocate(h->to_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				    end - HOLES_BLOCK_BYTES, HOLES_BLOCK_BYTES);
	return 0;
}

void holes_hash(struct job *j, uint64_t len)
{
	while (j->hash && len) {
		uint64_t n = holes_min(len, HOLES_ZEROS_BYTES);

		job_hash(j, holes_zeros, n);
		len -= n;
	}
}
