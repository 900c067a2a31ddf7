/* SPDX-License-Identifier: MIT */
/* Drains: a shadow's memory by a pipe is that of the instant, in pieces and in ranges. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/instant.h"
#include "lib/kit.h"
#include "lib/remote.h"
#include "lib/victims.h"
#include "process/drain.h"
#include "process/procfs.h"
#include "tap.h"

#define PAGE 4096

struct drained {
	struct remote *r;
	struct drain d;
	struct range v[DRAIN_RANGES_MAX];
	size_t n;
	uint64_t addr, len;
	int64_t got;
	int (*step)(struct drained *x);
};

static int drain_there(void *arg)
{
	struct drained *x = arg;

	return x->step(x);
}

static int drain_run(struct drained *x, int (*step)(struct drained *))
{
	x->step = step;
	return tracer_run(x->r->k.tracer, drain_there, x);
}

static int step_open(struct drained *x)
{
	return drain_open(&x->d, &x->r->shadow, &x->r->err);
}

static int step_fill(struct drained *x)
{
	x->got = drain_fill(&x->d, x->addr, x->len, &x->r->err);
	return 0;
}

static int step_fill_ranges(struct drained *x)
{
	x->got = drain_fill_ranges(&x->d, x->v, x->n, &x->r->err);
	return 0;
}

/* A mapping of the copy that has so many bytes at least. */
static size_t copy_find(const struct instant *c, size_t len, size_t *ret_off)
{
	*ret_off = 0;
	for (size_t i = 0; i < c->n; i++) {
		if (c->v[i].end - c->v[i].start >= len)
			return i;
		*ret_off += c->v[i].end - c->v[i].start;
	}
	bail("the victim has no mapping of %zu bytes", len);
}

static void drain_whole(struct drained *x, const struct instant *copy)
{
	size_t off, i = copy_find(copy, (size_t)4 << 20, &off), done = 0, at;
	size_t len = copy->v[i].end - copy->v[i].start;
	unsigned char *back = malloc(len);
	uint64_t begin = kit_now_ns();

	for (done = 0; done < len;) {
		x->addr = copy->v[i].start + done;
		x->len = len - done;
		drain_run(x, step_fill);
		need(x->got > 0, "fill: %lld %s", (long long)x->got, x->r->err.text);
		for (at = 0; at < (size_t)x->got;) {
			ssize_t n = read(x->d.fd, back + done + at, (size_t)x->got - at);

			need(n > 0, "read");
			at += (size_t)n;
		}
		done += at;
	}
	diag("%zu MiB in %llu us by a pipe of %u KiB", len >> 20,
	     (unsigned long long)(kit_now_ns() - begin) / 1000, x->d.size >> 10);
	is_int(done, len, "all came");
	is_mem(back, copy->bytes + off, len, "as it was in the instant");
	free(back);
}

static void drain_bounds(struct drained *x, const struct instant *copy)
{
	size_t off, i = copy_find(copy, (size_t)4 << 20, &off);
	uint64_t start = copy->v[i].start;
	unsigned char page[PAGE];

	x->addr = start;
	x->len = 4 << 20;
	drain_run(x, step_fill);
	is_int(x->got, x->d.size, "a full pipe takes what it has room for");
	drain_run(x, step_fill);
	is_int(x->got, -EAGAIN, "and no more");
	for (uint32_t done = 0; done < x->d.size; done += PAGE)
		need(read(x->d.fd, page, PAGE) == PAGE, "read");
	is_int(read(x->d.fd, page, PAGE), -1, "it is empty");
	for (x->n = 0; x->n < 100; x->n++)
		x->v[x->n] = (struct range){ start + x->n * 3 * PAGE,
					     start + x->n * 3 * PAGE + PAGE };
	drain_run(x, step_fill_ranges);
	is_int(x->got, 100 * PAGE, "many ranges by one call");
	for (size_t k = 0; k < 100; k++) {
		need(read(x->d.fd, page, PAGE) == PAGE, "read");
		is_mem(page, copy->bytes + off + k * 3 * PAGE, PAGE, "range %zu", k);
	}
	/* The victim's report, then nothing: so is its shadow's. */
	x->addr = REPORT_ADDR;
	x->len = 16 * PAGE;
	drain_run(x, step_fill);
	is_int(x->got, PAGE, "what cannot be read makes a short count");
	need(read(x->d.fd, page, PAGE) == PAGE, "read");
	x->addr = REPORT_ADDR + PAGE;
	drain_run(x, step_fill);
	is_int(x->got, -EFAULT, "or an error");
	is_int(read(x->d.fd, page, PAGE), -1, "and nothing went in");
}

static void drain_case(const void *arg)
{
	struct drained x = { 0 };
	struct instant copy = { 0 };
	struct victim v;
	struct remote r;

	victim_begin(&v, 0, "%s", (const char *)arg);
	instant_open(&r, v.pid);
	instant_on(&r, &copy);
	x.r = &r;
	need(remote_once(&r) == 0, "shadow: %s", r.err.text);
	need(shadow_open(&r.shadow, r.k.target, &r.err) == 0, "open: %s", r.err.text);
	need(drain_run(&x, step_open) == 0, "drain: %s", r.err.text);
	ok(x.d.size >= 65536, "the pipe has %u bytes", x.d.size);
	drain_whole(&x, &copy);
	drain_bounds(&x, &copy);
	drain_close(&x.d);
	remote_end_shadow(&r);
	instant_free(&copy);
	remote_close(&r);
	is_str(victim_harm(&v), NULL, "it is not harmed");
	victim_end(&v);
}

int main(void)
{
	kit_start(300);
	need_root();
	tap_case_seconds = 60;
	kit_case(drain_case, "counter --mib 8", "drain: 4 KiB pages");
	kit_case(drain_case, "counter --mib 8 --thp", "drain: huge pages");
	return done();
}
