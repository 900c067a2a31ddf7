/* SPDX-License-Identifier: MIT */
/* One connection to a page server, from its first byte to its last. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/le.h"
#include "sys/sys.h"
#include "wire/server.h"

#define CONNECTION_END_NS UINT64_C(5000000000)  /* for the client to hang up */

/* ----------------------------------------------------------------- who it is */

static void connection_peer(struct connection *c)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	const uint8_t *p;
	char *to = c->told.peer;
	size_t size = sizeof(c->told.peer), n = 0;

	if (sys_getpeername(c->channel.fd, (struct sockaddr *)&a, &len) < 0)
		return;
	if (a.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&a;

		p = (const uint8_t *)&in->sin_addr;
		(void)snprintf(to, size, "%u.%u.%u.%u:%u", p[0], p[1], p[2], p[3],
			       ntohs(in->sin_port));
	} else if (a.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)&a;

		p = in->sin6_addr.s6_addr;
		for (unsigned i = 0; i < 8; i++)
			n += (size_t)snprintf(to + n, size - n, "%c%x", i ? ':' : '[',
					      p[2 * i] << 8 | p[2 * i + 1]);
		(void)snprintf(to + n, size - n, "]:%u", ntohs(in->sin6_port));
	}
}

/* ------------------------------------------------------------------ messages */

/* 1 and the next header; 0: the peer has ended. */
static int connection_header(struct connection *c, struct frame *ret, struct err *e)
{
	unsigned char data[FRAME_MAX];
	unsigned size = c->told.header_bytes;
	int r;

	r = channel_read(&c->channel, data, size ? size : FRAME_OLD, e);
	if (r <= 0)
		return r;
	if (!size) {
		size = frame_size(data);
		c->told.header_bytes = size;
		if (size > FRAME_OLD)
			r = channel_need(&c->channel, data + FRAME_OLD, size - FRAME_OLD, e);
		if (r < 0)
			return r;
	}
	frame_get(ret, size, data);
	return 1;
}

static int connection_answer(struct connection *c, void *data, size_t len, struct err *e)
{
	struct iovec iov = { data, len };

	return channel_write(&c->channel, &iov, 1, 0, e);
}

static int connection_status(struct connection *c, int32_t status, struct err *e)
{
	unsigned char data[4];

	le32_store(data, (uint32_t)status);
	return connection_answer(c, data, sizeof(data), e);
}

static int connection_open(struct connection *c, const struct message *m, struct err *e)
{
	unsigned char answer;
	bool parent;
	int r = store_open(&c->store, m->of, m->id, &parent, e);

	if (r < 0 || !m->answer)
		return r;
	answer = !parent ? FRAME_NO_PARENT :
		 c->s->o.flags & DECANT_PAGE_SERVER_CHAIN ? FRAME_HAS_LAST : FRAME_HAS_PARENT;
	return connection_answer(c, &answer, 1, e);
}

static int connection_parent(struct connection *c, const struct message *m, struct err *e)
{
	bool parent;
	int r = store_has_parent(&c->store, m->of, m->id, &parent, e);

	return r < 0 ? r : connection_status(c, parent, e);
}

static int connection_entry(struct connection *c, const struct message *m, struct err *e)
{
	struct store *t = &c->store;
	bool parent;
	int r = 0;

	/* Old clients do not say when another pagemap begins. */
	if (!t->open || t->kind != m->of || t->id != m->id)
		r = store_open(t, m->of, m->id, &parent, e);
	return r < 0 ? r : store_entry(t, &m->entry, &c->channel, e);
}

/* What was stored is told before it is said: whoever hears of it finds it there. */
static int connection_close(struct connection *c, struct err *e)
{
	int r = store_commit(&c->store, e);
	struct err ignored;
	unsigned char more;

	if (r < 0) {
		(void)connection_status(c, -1, &ignored);
		return r;
	}
	/* From here on it is stored, whatever becomes of the connection. */
	if (connection_status(c, 0, &ignored) == 0 && channel_end(&c->channel, &ignored) == 0) {
		c->channel.patience_ns = CONNECTION_END_NS;
		(void)channel_read(&c->channel, &more, 1, &ignored);
	}
	return 1;
}

/* 1: it is over and well; 0: go on. */
static int connection_message(struct connection *c, struct err *e)
{
	struct message m;
	struct frame f;
	int r = connection_header(c, &f, e);

	if (r == 0)
		return c->store.open || c->store.pagemaps ?
		       err_set(e, -ECONNRESET, "the client went away before its end") :
		       err_set(e, -ENODATA, "the client brought nothing");
	if (r > 0)
		r = message_get(&m, &f, e);
	if (r < 0)
		return r;
	switch (m.kind) {
	case MESSAGE_OPEN:
		return connection_open(c, &m, e);
	case MESSAGE_PARENT:
		return connection_parent(c, &m, e);
	case MESSAGE_ENTRY:
		return connection_entry(c, &m, e);
	case MESSAGE_CLOSE:
		break;
	}
	return connection_close(c, e);
}

/* --------------------------------------------------------------- all of it */

void connection_serve(struct connection *c)
{
	struct decant_page_connection *told = &c->told;
	struct err e = { "" };
	int fd = c->channel.fd, r;

	connection_peer(c);
	r = channel_open(&c->channel, fd, c->s->tls, &e);
	while (r == 0)
		r = connection_message(c, &e);
	told->error = r < 0 ? r : 0;
	if (r < 0)
		(void)snprintf(told->message, sizeof(told->message), "%s", e.text);
	told->pagemaps = c->store.pagemaps;
	told->present_pages = c->store.present_pages;
	told->parent_pages = c->store.parent_pages;
	told->image = c->store.image;
	told->bytes = c->channel.in_bytes;
	store_close(&c->store);
	if (r < 0)
		channel_break(&c->channel);
	else
		channel_close(&c->channel);
	told->time_ns = sys_clock_ns() - c->begin_ns;
}
