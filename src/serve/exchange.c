/* SPDX-License-Identifier: MIT */
/* From a request to its answer: what is opened, and what head it gets. */
#include <errno.h>

#include "serve/find.h"
#include "serve/journal.h"
#include "serve/listing.h"
#include "serve/server.h"
#include "sys/sys.h"

#define EXCHANGE_FREE_MAX 64
/* A file that has been left alone for so long is likely to be for as long again. */
#define EXCHANGE_QUIET_NS 10000000000ll

static struct exchange *exchange_create(struct worker *w)
{
	struct exchange *x;

	if (!list_empty(&w->free_exchanges)) {
		x = list_entry(list_pop(&w->free_exchanges), struct exchange, link);
		w->free_exchanges_n--;
	} else {
		x = sys_malloc(sizeof(*x));
		if (!x)
			return NULL;
	}
	/* All but the head, which is written before it is read. */
	memset(x, 0, offsetof(struct exchange, head));
	memset(&x->text, 0, sizeof(*x) - offsetof(struct exchange, text));
	list_init(&x->link);
	x->fd = -1;
	x->want = SERVE_QUANTUM_BYTES;
	x->begun_ns = w->now_ns;
	return x;
}

void exchange_free(struct worker *w, struct exchange *x)
{
	if (x->name)
		names_release(x->name);
	else if (x->fd >= 0)
		(void)sys_close(x->fd);
	buf_free(&x->page);
	w->text_bytes -= x->page_held;
	free(x->parts);
	if (w->free_exchanges_n >= EXCHANGE_FREE_MAX) {
		free(x);
		return;
	}
	list_push(&w->free_exchanges, &x->link);
	w->free_exchanges_n++;
}

void exchange_end(struct worker *w, struct conn *c)
{
	struct exchange *x = c->x;
	uint64_t sent = x->sent > x->head_len ? x->sent - x->head_len : 0;
	char address[INET6_ADDRSTRLEN];

	c->x = NULL;
	atomic_fetch_add_explicit(&w->state->requests, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&w->state->sent_bytes, sent, memory_order_relaxed);
	if (w->journal) {
		struct log_entry e = {
			.address = address, .port = c->port, .status = x->status,
			.time_ns = w->real_ns - (int64_t)(w->now_ns - x->begun_ns),
			.sent = sent, .took_ns = w->now_ns - x->begun_ns,
			.cut = x->cut, .error = x->error, .error_at = x->error_at,
			.line = x->request.part[PART_LINE],
			.referer = x->request.part[PART_REFERER],
			.user_agent = x->request.part[PART_USER_AGENT],
		};

		conn_address(c, address);
		journal_add(w->journal, &e);
	}
	exchange_free(w, x);
}

/* The head, into the exchange; 0 or negative errno. */
static int exchange_head(struct worker *w, struct exchange *x, struct head *h)
{
	h->status = x->status;
	h->minor = x->request.minor;
	h->keep_alive = x->keep_alive;
	h->date = w->date;
	x->text = x->head;
	x->text_len = head_write(x->head, sizeof(x->head), h);
	x->head_len = (uint32_t)x->text_len;
	return x->text_len ? 0 : -E2BIG;
}

static int exchange_page(struct worker *w, struct exchange *x, unsigned status, struct buf *page)
{
	struct head h = {
		.type = "text/html; charset=utf-8", .length = page->len, .inert = true,
	};
	size_t head_len;

	x->status = (uint16_t)status;
	if (page->error == 0 && x->request.method != METHOD_HEAD &&
	    w->text_bytes + page->len > SERVE_TEXT_MAX_BYTES)
		page->error = -ENOMEM;
	if (page->error == 0 && exchange_head(w, x, &h) < 0)
		page->error = -E2BIG;
	if (page->error) {
		int r = page->error;

		buf_free(page);
		return r;
	}
	if (x->request.method == METHOD_HEAD) {
		buf_free(page);
		return 0;
	}
	/* One text: the head in front of the page. */
	head_len = x->text_len;
	x->page = *page;
	*page = (struct buf)BUF_INIT;
	buf_append(&x->page, x->head, head_len);
	if (x->page.error) {
		buf_free(&x->page);
		return -ENOMEM;
	}
	memmove(x->page.data + head_len, x->page.data, x->page.len - head_len);
	memcpy(x->page.data, x->head, head_len);
	x->text = x->page.data;
	x->text_len = x->page.len;
	x->page_held = (uint32_t)x->page.len;
	w->text_bytes += x->page_held;
	return 0;
}

static int exchange_status(struct worker *w, struct exchange *x, unsigned status)
{
	struct buf page = BUF_INIT;

	listing_error_page(&page, status, head_reason(status));
	return exchange_page(w, x, status, &page);
}

int exchange_fail(struct worker *w, struct exchange *x)
{
	x->at = x->end = x->parts_n = x->read = 0;
	x->text_at = 0;
	x->cut = false;
	return exchange_status(w, x, 500);
}

/* Only a head: 204, 301, 302, 304, 416. */
static int exchange_bare(struct worker *w, struct exchange *x, unsigned status,
			 struct head *h)
{
	x->status = (uint16_t)status;
	h->length = status == 204 || status == 304 ? UINT64_MAX : 0;
	return exchange_head(w, x, h);
}

/* ---------------------------------------------------------------- files */

/* The answer has several ranges.  The boundary: nobody can have put it into a file. */
static int exchange_parts(struct worker *w, struct exchange *x, const struct range *v, unsigned n)
{
	head_boundary(x->boundary, w->boundaries++, w->now_ns);
	x->parts = sys_malloc(n * sizeof(*v));
	if (!x->parts)
		return -ENOMEM;
	memcpy(x->parts, v, n * sizeof(*v));
	x->parts_n = n;
	return 0;
}

static int exchange_ranges(struct worker *w, struct exchange *x, struct head *h, uint64_t size)
{
	struct range v[RANGES_MAX];
	unsigned n = 0;
	enum ranges what = ranges_parse(x->request.part[PART_RANGE], size, v, &n);
	int r = 0;

	if (what == RANGES_ALL)
		return 0;
	h->range_of = size;
	if (what == RANGES_NOTHING)
		return 416;
	x->status = 206;
	if (n == 1) {
		x->at = v[0].start;
		x->end = v[0].end;
		h->length = x->end - x->at;
		return 206;
	}
	r = exchange_parts(w, x, v, n);
	if (r < 0)
		return r;
	x->type = h->type;
	h->length = head_parts_length(h->type, v, n, size);
	h->type = NULL;
	h->boundary = x->boundary;
	x->at = x->end = 0;
	return 206;
}

static int exchange_file(struct worker *w, struct exchange *x, struct found *f, const char *name)
{
	bool choice = !(w->server->o.flags & DECANT_SERVE_NO_PRECOMPRESSED);
	struct validator v;
	struct range one;
	struct head h = {
		.type = mime_of(w->server->mime, name), .vary = choice,
		.encoding = encoding_names[f->encoding], .validator = &v, .ranges = true,
		.length = (uint64_t)f->st.st_size,
	};
	bool ranges;
	int r;

	validator_of(&f->st, w->real_ns, &v);
	x->fd = f->fd;
	x->name = f->name;
	f->fd = -1;
	f->name = NULL;
	r = condition_judge(&x->request, &v, &ranges);
	if (r == 412)
		return exchange_status(w, x, 412);
	if (r == 304) {
		h.type = h.encoding = NULL;
		h.ranges = false;
		return exchange_bare(w, x, 304, &h);
	}
	x->status = 200;
	x->dev = f->st.st_dev;
	x->ino = f->st.st_ino;
	x->size = h.length;
	x->quiet = w->real_ns - v.newest_ns > EXCHANGE_QUIET_NS;
	x->end = x->size;
	/* Read before it was looked at: of a file that may have changed in between, the tag
	 * would be newer than the bytes. */
	x->read = ranges || v.weak ? 0 : f->read;
	if (ranges) {
		r = exchange_ranges(w, x, &h, x->size);
		if (r < 0)
			return r;
		if (r == 416) {
			x->at = x->end = 0;
			h.type = h.encoding = h.boundary = NULL;
			return exchange_bare(w, x, 416, &h);
		}
		one = (struct range){ x->at, x->end };
		if (r == 206 && x->parts_n == 0)
			h.range = &one;
	}
	if (x->request.method == METHOD_HEAD)
		x->at = x->end = x->parts_n = x->read = 0;
	return exchange_head(w, x, &h);
}

/* --------------------------------------------------------------- names */

static int exchange_redirect(struct worker *w, struct exchange *x, unsigned status,
			     const char *path, bool slash, struct span query)
{
	struct buf b = BUF_INIT;
	struct head h = { .location = NULL };
	int r;

	/* One slash in front, so that no other host can be meant. */
	buf_putc(&b, '/');
	path_encode(&b, path, strlen(path));
	if (slash && *path)
		buf_putc(&b, '/');
	/* The parser lets no control characters into a target. */
	if (query.s && query.len < HEAD_BYTES_MAX / 2) {
		buf_putc(&b, '?');
		buf_append(&b, query.s, query.len);
	}
	h.location = buf_str(&b);
	r = b.error ? b.error : exchange_bare(w, x, status, &h);
	buf_free(&b);
	/* Too long for a head of ours: there is no such place. */
	return r == -E2BIG ? exchange_status(w, x, 404) : r;
}

static int exchange_listing(struct worker *w, struct exchange *x, const struct path *p,
			    struct found *f)
{
	struct listing l = { .path = p->text };
	struct buf page = BUF_INIT;
	int r;

	if (w->server->o.flags & DECANT_SERVE_NO_LISTING)
		return exchange_status(w, x, 403);
	listing_ask(p->query, &l.order, &l.reverse);
	r = find_entries(w, f->fd, &l);
	if (r == 0) {
		listing_sort(&l);
		listing_page(&page, &l);
		r = exchange_page(w, x, 200, &page);
	}
	find_entries_free(&l);
	return r;
}

static int exchange_directory(struct worker *w, struct exchange *x, struct path *p,
			      struct found *f)
{
	static const char index[] = "index.html";
	size_t len = p->len;
	struct found page;

	if (!p->slash)
		return exchange_redirect(w, x, 301, p->text, true, p->query);
	if (len + sizeof(index) + 1 < PATH_BYTES_MAX) {
		int status;

		if (len)
			p->text[len++] = '/';
		memcpy(p->text + len, index, sizeof(index));
		status = find_open(w, p->text, &page);
		if (status == 0 && S_ISREG(page.st.st_mode)) {
			find_close(f);
			*f = page;
			p->len = len + sizeof(index) - 1;
			p->slash = false;
			return 0;
		}
		if (status == 0)
			find_close(&page);
		else if (status != 404)
			return exchange_status(w, x, (unsigned)status);
		p->text[p->len] = '\0';
	}
	return exchange_listing(w, x, p, f);
}

/* 1: go on; else what exchange_...() gave. */
static int exchange_single(struct worker *w, struct exchange *x, const struct path *p)
{
	const char *name = w->server->single;

	if (!name)
		return 1;
	if (p->len == 0)
		return exchange_redirect(w, x, 302, name, false, p->query);
	return strcmp(p->text, name) == 0 ? 1 : exchange_status(w, x, 404);
}

static int exchange_named(struct worker *w, struct exchange *x, struct path *p)
{
	struct found f = { .fd = -1 };
	int status = find_open(w, p->text, &f), r = 0;

	if (status)
		return exchange_status(w, x, (unsigned)status);
	if (S_ISDIR(f.st.st_mode))
		r = exchange_directory(w, x, p, &f);
	/* Now it may be the index of the directory. */
	if (r == 0 && x->text_len == 0) {
		if (p->slash) {
			r = exchange_status(w, x, 404);
		} else {
			if (x->request.part[PART_ACCEPT_ENCODING].s &&
			    !(w->server->o.flags & DECANT_SERVE_NO_PRECOMPRESSED))
				find_compressed(w, p->text, p->len,
						x->request.part[PART_ACCEPT_ENCODING], &f);
			r = exchange_file(w, x, &f, path_name(p->text));
		}
	}
	find_close(&f);
	return r;
}

/* Without a condition or a range the whole file is the answer, if there is one. */
static bool exchange_reads(const struct request *q)
{
	return q->method == METHOD_GET && !q->part[PART_RANGE].s &&
	       !q->part[PART_IF_NONE_MATCH].s && !q->part[PART_IF_MODIFIED_SINCE].s;
}

static int exchange_answer(struct worker *w, struct exchange *x)
{
	const struct request *q = &x->request;
	struct head none = { .type = NULL };
	struct path p;
	int r;

	if (q->refuse)
		return exchange_status(w, x, q->refuse);
	if (q->method == METHOD_OPTIONS)
		return exchange_bare(w, x, 204, &none);
	if (q->method == METHOD_OTHER)
		return exchange_status(w, x, 405);
	w->reads = exchange_reads(q);
	r = path_decode(q->part[PART_TARGET], &p);
	if (r)
		return exchange_status(w, x, (unsigned)r);
	if (p.hidden && !(w->server->o.flags & DECANT_SERVE_HIDDEN) && !w->server->single)
		return exchange_status(w, x, 404);
	r = exchange_single(w, x, &p);
	return r == 1 ? exchange_named(w, x, &p) : r;
}

struct exchange *exchange_begin(struct worker *w, struct conn *c, const struct request *r)
{
	struct exchange *x = exchange_create(w);

	if (!x)
		return NULL;
	x->request = *r;
	x->keep_alive = r->keep_alive && !w->stopping;
	c->x = x;
	if (w->server->o.client_rate_bytes) {
		uint64_t key;

		/* An IPv6 client has a whole /64. */
		memcpy(&key, c->address, sizeof(key));
		x->client = limit_client(&w->server->limits, key + 1 ? key + 1 : 1, w->now_ns);
	}
	if (exchange_answer(w, x) < 0) {
		/* No memory for what was wanted: a head alone still fits. */
		struct head h = { .type = NULL };

		x->parts_n = 0;
		x->at = x->end = 0;
		if (exchange_bare(w, x, 503, &h) < 0) {
			c->x = NULL;
			exchange_free(w, x);
			return NULL;
		}
	}
	return x;
}

struct exchange *exchange_refuse(struct worker *w, struct conn *c, unsigned status)
{
	struct request r = { .refuse = (uint16_t)status, .method = METHOD_GET, .minor = 1 };

	return exchange_begin(w, c, &r);
}
