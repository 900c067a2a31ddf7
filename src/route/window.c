/* SPDX-License-Identifier: MIT */
/* Windows of a source that is memory, or is mapped as memory. */
#include <errno.h>

#include "route/window.h"
#include "sys/sys.h"

#define WINDOW_MAX_BYTES (4u << 20)

struct window {
	struct zerocopy z;
	struct zerocopy_piece *piece; /* being sent, or NULL */
	bool rest;                    /* the mapping is of no use: read plainly */
	uint64_t certain;             /* bytes that were let go of before the file shrank */
};

uint64_t window_left(const struct job *j, uint64_t pos, uint64_t max)
{
	uint64_t size = end_size_now(&j->from), at;

	if (size == END_SIZE_UNKNOWN)
		return max;
	if (__builtin_add_overflow(j->from.offset, pos, &at) || at >= size)
		return 0;
	return max < size - at ? max : size - at;
}

int window_shrank(struct job *j, uint64_t certain)
{
	uint64_t short_by = j->len == DECANT_TO_END ? j->sent - certain : j->len - certain;

	j->sent = j->taken = certain;
	return job_fail(j, -ENODATA, "source ended at offset %llu, %llu bytes short: the file "
			"shrank while it was being sent",
			(unsigned long long)(j->from.offset + certain),
			(unsigned long long)short_by);
}

int window_kept(struct job *j)
{
	uint64_t have = window_left(j, 0, j->sent);

	return have < j->sent ? window_shrank(j, have) : 0;
}

int window_took(struct job *j, uint64_t n)
{
	uint64_t have = window_left(j, j->taken, n);

	job_took(j, have);
	job_sent(j, have, 1);
	return have < n ? window_shrank(j, j->sent) : STEP_MORE;
}

int window_start(struct job *j, enum zerocopy_how how)
{
	struct window *w = sys_calloc(1, sizeof(*w));

	if (!w)
		return job_fail(j, -ENOMEM, "%s: no memory", j->ops->name);
	zerocopy_init(&w->z, j, how, true, 0);
	j->priv = w;
	return 0;
}

void window_finish(struct job *j)
{
	struct window *w = j->priv;

	zerocopy_deinit(&w->z);
	free(w);
	j->priv = NULL;
}

void window_drain(struct job *j)
{
	/* Of a file that shrank, what was on its way is not what it was. */
	if (j->error != -ENODATA)
		(void)zerocopy_reap(&((struct window *)j->priv)->z);
}

static bool window_maps(const struct job *j)
{
	return j->from.kind == DECANT_END_FILE;
}

static void window_close(struct window *w)
{
	if (w->piece)
		zerocopy_piece_over(&w->z, w->piece);
	w->piece = NULL;
}

/* Bytes from here on that the next window should hold; at least 1. */
static uint64_t window_len(const struct job *j)
{
	uint64_t len = WINDOW_MAX_BYTES;

	if (j->len != DECANT_TO_END && len > j->len - j->taken)
		len = j->len - j->taken;
	return window_maps(j) ? window_left(j, j->taken, len) : len;
}

/* 0: w->piece is there, or w->rest is set.  STEP_WAIT: later. */
static int window_open(struct job *j)
{
	struct window *w = j->priv;
	struct zerocopy_piece *p = zerocopy_piece(&w->z);
	uint64_t len = window_len(j);
	int err = 0;

	if (!p)
		return zerocopy_wait(&w->z);
	if (len > 0 && window_maps(j))
		p->data = job_map(j, j->taken, &len, &p->mapping, &err);
	else if (len > 0)
		p->data = end_view(&j->from, j->taken, &len);
	p->len_bytes = len;
	w->piece = p;
	if (!p->data || len == 0) {
		/* The end, a file without a size, one that cannot be mapped. */
		window_close(w);
		w->rest = true;
	}
	return 0;
}

/* The kernel met memory that is not there. */
static int window_fault(struct job *j)
{
	struct window *w = j->priv;

	w->z.fault = false;
	if (!window_maps(j)) {
		int r = job_fail_source(j, -EFAULT);

		/* It may be a mapping of a file that was cut: what is still on its
		 * way could read as zeros by now. */
		j->sent = j->taken = zerocopy_released_to(&w->z);
		return r;
	}
	/* The file shrank, or the disk failed: a read will say which. */
	window_close(w);
	w->rest = true;
	return STEP_MORE;
}

/* Does the file still have what was sent of it? */
static int window_look(struct job *j)
{
	struct window *w = j->priv;
	uint64_t end = w->z.seen_end, have;

	w->z.seen_end = 0;
	if (end == 0 || !window_maps(j))
		return 0;
	have = window_left(j, 0, end);
	/*
	 * What the kernel still holds may be cleared by the next truncation, so
	 * that only what it had let go of when the file was last seen whole is
	 * certain.
	 */
	if (have < end)
		return window_shrank(j, w->certain);
	w->certain = zerocopy_released_to(&w->z);
	return 0;
}

/*
 * Plain steps for what is left.  Not before the kernel has let go of what was
 * sent: the end that they find is the end of the transfer.
 */
static int window_rest(struct job *j)
{
	struct window *w = j->priv;

	if (!zerocopy_idle(&w->z))
		return zerocopy_wait(&w->z);
	return job_plain_step(j, ZEROCOPY_SEND_MAX_BYTES);
}

static int window_push(struct job *j, uint64_t want)
{
	struct window *w = j->priv;
	int r;

	if (window_maps(j)) {
		want = window_left(j, j->taken, want);
		if (want == 0) {
			window_close(w);
			w->rest = true;
			return STEP_MORE;
		}
	}
	r = zerocopy_push(&w->z, w->piece, want);
	if (r < 0)
		return r;
	if (w->z.fault)
		return window_fault(j);
	return r;
}

int window_step(struct job *j)
{
	struct window *w = j->priv;
	uint64_t want;
	int r = zerocopy_reap(&w->z), looked = window_look(j);

	if (r < 0 || looked < 0)
		return r < 0 ? r : looked;
	if (w->z.fault)
		return window_fault(j);
	if (zerocopy_sending(&w->z))
		return STEP_WAIT;
	if (w->piece && w->piece->done_bytes == w->piece->len_bytes)
		window_close(w);
	if (w->rest)
		return window_rest(j);
	want = job_want(j, ZEROCOPY_SEND_MAX_BYTES);
	if (want == 0) {
		if (!job_all_taken(j))
			return STEP_WAIT;
		return zerocopy_idle(&w->z) ? STEP_DONE : zerocopy_wait(&w->z);
	}
	if (!w->piece) {
		r = window_open(j);
		if (r != 0 || w->rest)
			return r != 0 ? r : STEP_MORE;
	}
	r = window_push(j, want);
	looked = window_look(j);
	return looked < 0 ? looked : r;
}
