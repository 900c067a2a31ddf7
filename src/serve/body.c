/* SPDX-License-Identifier: MIT */
/*
 * Sends an answer: one turn after the other, never waiting.
 *
 * Small files, and those that were changed lately, go by way of a buffer: read,
 * looked at whether they still are so long, sent.  What is large, quiet and in
 * demand goes out of a mapping, with one copy.  Either way the file may change
 * when send returns.  What is not in memory is the engine's: its threads wait
 * for the disk, and its planner knows the better routes for that.
 */
#include <errno.h>
#include <sys/uio.h>

#include "base/checked.h"
#include "serve/engines.h"
#include "serve/keep.h"
#include "serve/server.h"
#include "sys/sys.h"
#include "uapi/rwf.h"

#define BODY_WANT_MIN (16u << 10)
/* Bodies up to this are read; larger ones are mapped where that pays. */
#define BODY_MAP_BYTES (256u << 10)
#define BODY_TAIL_BYTES 4096u

/* The next text to be sent, when what was there is through; false: none. */
static bool body_next_part(struct exchange *x)
{
	if (x->parts_n == 0 || x->parts_at > x->parts_n)
		return false;
	x->text_at = 0;
	if (x->parts_at == x->parts_n) {
		x->text = x->head;
		x->text_len = head_parts_end(x->head, sizeof(x->head), x->boundary);
	} else {
		x->at = x->parts[x->parts_at].start;
		x->end = x->parts[x->parts_at].end;
		x->text = x->head;
		x->text_len = head_part(x->head, sizeof(x->head), x->boundary, x->type,
					&x->parts[x->parts_at], x->size);
	}
	x->parts_at++;
	return true;
}

/*
 * A mapping shows zeros behind the end of a file that is cut, to the end of the
 * page: so the last page of an answer never comes from one, and whoever gets all
 * of an answer gets no such zero.
 */
static const void *body_mapped(struct worker *w, struct exchange *x, uint64_t *len)
{
	struct iovec v = { .iov_base = w->scratch, .iov_len = 1 };
	const void *mapped;

	if (!x->quiet || x->size < BODY_MAP_BYTES || x->end - x->at <= BODY_TAIL_BYTES)
		return NULL;
	*len = min_u64(*len, x->end - x->at - BODY_TAIL_BYTES);
	mapped = keep_get(w->keep, x->fd, x->dev, x->ino, x->at, x->size, len, x->sent == 0,
			  w->now_ns);
	/*
	 * The last byte tells for the rest: the kernel reads ahead in order.
	 * And it tells whether the file is still so long.
	 */
	return mapped && sys_preadv2(x->fd, &v, 1, x->at + *len - 1, RWF_NOWAIT) == 1 ? mapped :
										   NULL;
}

/* 1: the file is as long as that, after what was read was read; 0: it is not. */
static int body_verify(const struct exchange *x, uint64_t end)
{
	struct stat st;
	int r = sys_fstat(x->fd, &st);

	return r < 0 ? r : (uint64_t)st.st_size >= end;
}

/*
 * Bytes at x->at without waiting for a disk: *ret points at them.  Their number;
 * 0: the file ends before; -EAGAIN: they are not in memory.
 */
static int64_t body_bytes(struct worker *w, struct exchange *x, uint64_t len,
			  const void **ret)
{
	struct iovec v = { .iov_base = w->scratch };
	uint64_t mapped_len = len;
	ssize_t n;

	if (x->read && x->at == 0 && len == x->read) {
		*ret = w->scratch;
		return x->read;
	}
	*ret = body_mapped(w, x, &mapped_len);
	if (*ret)
		return (int64_t)mapped_len;
	*ret = w->scratch;
	v.iov_len = min_u64(len, x->want);
	n = sys_preadv2(x->fd, &v, 1, x->at, RWF_NOWAIT);
	/* There is no way to ask: where there is a disk, too, somebody else waits for it. */
	if (n == -EOPNOTSUPP || n == -EINVAL || n == -ENOSYS)
		n = keep_in_memory(w->keep, x->fd, x->dev) ?
			    sys_pread(x->fd, w->scratch, v.iov_len, x->at) : -EAGAIN;
	if (n > 0) {
		int r = body_verify(x, x->at + (uint64_t)n);

		if (r <= 0)
			return r;
	}
	return n;
}

static void body_sent(struct exchange *x, uint64_t sent)
{
	uint64_t text = min_u64(sent, x->text_len - x->text_at);

	x->sent += sent;
	x->text_at += text;
	x->at += sent - text;
}

static enum body_step body_engine(struct worker *w, struct conn *c, uint64_t len)
{
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct exchange *x = c->x;
	int64_t id;

	t.from = decant_file(x->fd, x->at);
	t.to = decant_socket(c->fd);
	t.len = min_u64(len, SERVE_ENGINE_BYTES);
	t.until = DECANT_UNTIL_SENT;
	t.stall_ms = w->server->o.stall_ms;
	t.flags = x->at + t.len < x->end ? DECANT_MORE : 0;
	t.user_data = (uint64_t)(uintptr_t)c;
	x->engine = engines_of(w->engines, x->dev);
	id = decant_submit(x->engine, &t);
	if (id < 0) {
		x->cut = true;
		x->error = (int)id;
		x->error_at = x->at;
		return BODY_BROKEN;
	}
	x->engine_id = (uint64_t)id;
	return BODY_ENGINE;
}

/*
 * One send: what is left of the text, and as many bytes of the file.  flags:
 * MSG_MORE where another answer follows at once.  *ret: what was sent, or a
 * negative errno.
 */
static enum body_step body_send(struct worker *w, struct conn *c, uint64_t len, int64_t *ret)
{
	struct exchange *x = c->x;
	struct iovec v[2];
	struct msghdr m = { .msg_iov = v };
	const void *bytes = NULL;
	int64_t n = 0;
	bool limited = w->server->limits.rate || x->client;
	bool more = x->parts_n && x->parts_at <= x->parts_n;

	*ret = 0;
	if (len) {
		n = body_bytes(w, x, len, &bytes);
		if (n == -EAGAIN && x->text_at == x->text_len)
			return body_engine(w, c, limited ? len : x->end - x->at);
		if (n == 0 || (n < 0 && n != -EAGAIN)) {
			/* It shrank, or cannot be read: no byte stands for one that is not. */
			x->cut = true;
			x->error = n < 0 ? (int)n : -ENODATA;
			x->error_at = x->at;
			return n < 0 && x->sent == 0 ? BODY_FAILED : BODY_BROKEN;
		}
		/* The head goes ahead of what the engine will send. */
		if (n == -EAGAIN)
			n = 0;
		more = more || n == 0 || x->at + (uint64_t)n < x->end;
	}
	if (x->text_at < x->text_len)
		v[m.msg_iovlen++] = (struct iovec){ (void *)(uintptr_t)(x->text + x->text_at),
						    x->text_len - x->text_at };
	if (n > 0)
		v[m.msg_iovlen++] = (struct iovec){ (void *)(uintptr_t)bytes, (size_t)n };
	*ret = sys_sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0));
	if (*ret == -EAGAIN || *ret == -EINTR)
		return BODY_WAIT;
	if (*ret < 0) {
		/* EFAULT: the file was cut between the look and the send. */
		x->cut = true;
		return BODY_BROKEN;
	}
	/* Out of a mapping a short send may be one that met the file's end: look again. */
	if ((uint64_t)*ret < x->text_len - x->text_at + (uint64_t)n && bytes == w->scratch)
		return BODY_WAIT;
	return BODY_MORE;
}

/* The rate's share of len bytes; 0: it sleeps. */
static uint64_t body_allowed(struct worker *w, struct conn *c, uint64_t len)
{
	const struct limits *l = &w->server->limits;
	uint64_t wait_ns;

	if ((l->rate == 0 && !c->x->client) || len == 0)
		return len;
	len = limit_take(l, c->x->client, len, w->now_ns, &wait_ns);
	if (len == 0)
		worker_sleep(w, c, wait_ns);
	return len;
}

/* Nobody else is in the middle of an answer. */
static bool body_is_alone(const struct worker *w)
{
	const struct list *all = &w->lists[LIST_SEND];

	return all->next == all->prev;
}

static enum body_step body_turn(struct worker *w, struct conn *c)
{
	struct exchange *x = c->x;
	uint64_t quantum = body_is_alone(w) ? SERVE_ALONE_BYTES : SERVE_QUANTUM_BYTES;

	for (;;) {
		uint64_t len, sent_before;
		enum body_step step;
		int64_t sent;

		if (x->text_at == x->text_len && x->at == x->end && !body_next_part(x))
			return BODY_DONE;
		if (quantum == 0)
			return BODY_MORE;
		len = min_u64(x->end - x->at, quantum);
		if (len) {
			len = body_allowed(w, c, len);
			if (len == 0)
				return BODY_SLEEP;
		}
		sent_before = x->at;
		step = body_send(w, c, len, &sent);
		if (sent > 0)
			body_sent(x, (uint64_t)sent);
		if (step != BODY_ENGINE && x->at - sent_before < len)
			limit_return(&w->server->limits, x->client, len - (x->at - sent_before));
		if (step != BODY_MORE) {
			/* Read no more next time than the socket is likely to take. */
			if (step == BODY_WAIT && sent > 0)
				x->want = (uint32_t)max_u64(BODY_WANT_MIN,
							    min_u64((uint64_t)sent * 2,
								    SERVE_QUANTUM_BYTES));
			return step;
		}
		quantum -= min_u64(quantum, x->at - sent_before);
	}
}

enum body_step body_step(struct worker *w, struct conn *c)
{
	enum body_step step = body_turn(w, c);

	/* Others will use the scratch. */
	c->x->read = 0;
	return step;
}
