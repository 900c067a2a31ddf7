/* SPDX-License-Identifier: MIT */
/* decant images DIR: look at memory images, merge them, make a core of them. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "decant.h"
#include "images_options.h"
#include "images_report.h"
#include "out_file.h"

/* Whoever may read a core may read all that the process knew. */
#define IMAGES_CORE_MODE 0600
/* No chain is longer. */
#define IMAGES_LEVELS_MAX 256

struct images {
	struct images_options o;
	struct decant *engine;
	struct decant_images *a, *b;
};

static uint64_t images_now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int images_failed(const struct images *c, int r)
{
	const char *why = decant_strerror(c->engine);

	cli_error("%s", why[0] ? why : strerror(-r));
	if (r == -EEXIST && c->o.action == IMAGES_FLATTEN && !c->o.force)
		cli_hint("--force removes what a killed run left; images that are whole it leaves");
	else if (r == -EMFILE)
		cli_hint("a chain needs three descriptors per level: see ulimit -n");
	else if (r != -ENOTSUP && r != -ENODATA && r != -EBUSY && r != -EEXIST)
		cli_hint(cli_advice(r));
	return CLI_FAILED;
}

/* `decant predump --rounds` makes DIR/1, DIR/2, ...: the highest of them, 0: none. */
static unsigned images_numbered(const char *dir)
{
	char name[PATH_MAX];
	unsigned n = 0, len;

	do {
		len = (unsigned)snprintf(name, sizeof(name), "%s/%u/inventory.img", dir, n + 1);
	} while (len < sizeof(name) && access(name, F_OK) == 0 && n++ < IMAGES_LEVELS_MAX);
	return n;
}

/* It is the directory around the images: what was meant is in it. */
static bool images_around(const struct images *c)
{
	unsigned n = images_numbered(c->o.dir);
	char name[PATH_MAX];

	(void)snprintf(name, sizeof(name), "%s/inventory.img", c->o.dir);
	if (!n || access(name, F_OK) == 0)
		return false;
	cli_error("%s: holds numbered images, 1 to %u, each with its parents", c->o.dir, n);
	(void)snprintf(name, sizeof(name), "the last one is %s/%u", c->o.dir, n);
	cli_hint(name);
	return true;
}

static int images_flatten(struct images *c)
{
	struct decant_images_report report = DECANT_IMAGES_REPORT_INIT;
	uint64_t begin = images_now_ns();
	int r = decant_images_flatten(c->a, c->o.output,
				      (c->o.force ? DECANT_IMAGES_CLEAN : 0u) |
				      (c->o.sync ? DECANT_IMAGES_SYNC : 0u), &report);

	if (r < 0)
		return images_failed(c, r);
	images_made(&c->o, c->o.output ? c->o.output : c->o.dir, &report,
		    images_now_ns() - begin);
	return CLI_OK;
}

/* -------------------------------------------------------------------- core */

struct images_find {
	struct decant_images *images;
	uint64_t pid;
	unsigned n;
};

static int images_stop(void *arg, const struct decant_images_mapping *m)
{
	(void)arg;
	(void)m;
	return 1;
}

static int images_candidate(void *arg, const struct decant_images_map *m)
{
	struct images_find *f = arg;

	if (m->kind == DECANT_IMAGES_PROCESS &&
	    decant_images_mappings(f->images, m->id, images_stop, NULL) != -ENODATA) {
		f->pid = m->id;
		f->n++;
	}
	return 0;
}

static int images_find_pid(struct images *c, uint64_t *ret)
{
	struct images_find f = { .images = c->a };
	int r;

	*ret = c->o.pid;
	if (c->o.pid)
		return CLI_OK;
	r = decant_images_maps(c->a, 0, images_candidate, &f);
	if (r < 0)
		return images_failed(c, r);
	if (f.n != 1) {
		cli_error("%s: %s", c->o.dir, f.n ? "holds several processes" :
			  "no decant-PID.img: only what `decant predump --final` wrote has "
			  "registers");
		cli_hint(f.n ? "--pid says which" : NULL);
		return CLI_FAILED;
	}
	*ret = f.pid;
	return CLI_OK;
}

static int images_core(struct images *c)
{
	struct decant_images_report report = DECANT_IMAGES_REPORT_INIT;
	struct out_file out = OUT_FILE_INIT;
	uint64_t pid, begin = images_now_ns();
	struct err e = { "" };
	char own[32];
	int r = images_find_pid(c, &pid);

	if (r != CLI_OK)
		return r;
	(void)snprintf(own, sizeof(own), "core.%llu", (unsigned long long)pid);
	if (!c->o.output)
		c->o.output = own;
	r = out_file_open(&out, c->o.output, c->o.force, false, &e);
	out.fresh = true;
	if (r == 0) {
		r = decant_images_core(c->a, pid, out.fd, &report);
		if (r < 0)
			(void)images_failed(c, r);
		else if (c->o.sync && fsync(out.fd) < 0)
			r = err_errno(&e, -errno, "%s: syncing", c->o.output);
		else
			r = out_file_commit(&out, IMAGES_CORE_MODE, false, c->o.sync, &e);
	}
	out_file_deinit(&out);
	if (r < 0 && e.text[0]) {
		cli_error("%s", e.text);
		cli_hint(r == -EEXIST ? "--force replaces it, --output names another" : NULL);
	}
	if (r < 0)
		return CLI_FAILED;
	images_made(&c->o, c->o.output, &report, images_now_ns() - begin);
	return CLI_OK;
}

/* ------------------------------------------------------------------ running */

static int images_look(struct images *c)
{
	int64_t faults = 0;
	int r = images_check(c->a, &c->o, &faults);

	if (r < 0)
		return images_failed(c, r);
	return faults ? CLI_FAILED : CLI_OK;
}

static int images_compare(struct images *c)
{
	uint64_t pages = 0;
	int r = decant_images_open(c->engine, &c->b, c->o.other, 0);

	if (r == 0)
		r = images_diff(c->a, c->b, &c->o, &pages);
	if (r < 0)
		return images_failed(c, r);
	return pages ? CLI_FAILED : CLI_OK;
}

static int images_act(struct images *c)
{
	int r;

	switch (c->o.action) {
	case IMAGES_CHECK:
		return images_look(c);
	case IMAGES_FLATTEN:
		return images_flatten(c);
	case IMAGES_CORE:
		return images_core(c);
	case IMAGES_DIFF:
		return images_compare(c);
	case IMAGES_SHOW:
		break;
	}
	r = images_show(c->a, &c->o);
	return r < 0 ? images_failed(c, r) : CLI_OK;
}

int cmd_images(int argc, char **argv)
{
	struct images c = { .engine = NULL };
	struct err e = { "" };
	bool broken;
	int r, status;

	if (images_options_parse(&c.o, argc, argv, &e) < 0)
		return cli_usage("images", "%s", e.text);
	if (c.o.help) {
		images_options_help();
		return CLI_OK;
	}
	if (images_around(&c))
		return CLI_FAILED;
	broken = c.o.action == IMAGES_SHOW || c.o.action == IMAGES_CHECK;
	r = decant_open(&c.engine, NULL);
	if (r == 0)
		r = decant_images_open(c.engine, &c.a, c.o.dir, broken ? DECANT_IMAGES_BROKEN : 0);
	status = r < 0 ? images_failed(&c, r) : images_act(&c);
	decant_images_close(c.b);
	decant_images_close(c.a);
	decant_close(c.engine);
	return status;
}
