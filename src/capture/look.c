/* SPDX-License-Identifier: MIT */
#include "capture/look.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "capture/objects.h"
#include "capture/sample.h"
#include "sys/sys.h"

#define LOOK_ROOM_PIECES 4096
#define LOOK_STOP_ROOM_MAX (1ull << 30)   /* more is made in the stop, if it comes to that */

const char look_frozen[] = "its cgroup is frozen: it makes no system call for us (a stop costs it "
			   "nothing: use that)";
const char look_no_track[] = "this kernel has neither PAGEMAP_SCAN with asynchronous write "
			     "protection nor soft-dirty bits (or they are masked)";

static int look_text(struct capture *c)
{
	int r = procfs_read(c->t->task_fd, "auxv", &c->auxv);

	if (r < 0)
		return capture_fail(c, r, "auxv");
	(void)procfs_read(c->t->task_fd, "cmdline", &c->args);
	while (c->args.len && c->args.data[c->args.len - 1] == '\0')
		c->args.len--;
	for (size_t i = 0; i < c->args.len; i++)
		if (c->args.data[i] == '\0')
			c->args.data[i] = ' ';
	return 0;
}

/* Trying what the kernel can takes far longer than a stop: before it, then. */
static void look_facts(struct capture *c)
{
	static const enum fact facts[] = {
		FACT_PAGEMAP_SCAN, FACT_PAGEMAP_FRAMES, FACT_UFFD_WP_ASYNC, FACT_WP_HOLES,
		FACT_PIDFD_GETFD, FACT_PROCESS_VM, FACT_MAP_FILES,
	};

	for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++)
		(void)caps_has(c->caps, facts[i]);
}

int look_target(struct capture *c)
{
	struct err err;
	int r = objects_open(&c->objects, c->t, &c->err);

	if (r >= 0)
		r = maps_learn(c->t, &c->before, &c->err);
	if (r < 0)
		return r;
	c->has_gadgets = gadgets_find(c->t, &c->before, &c->gadgets, &c->gadgets_err) >= 0;
	look_facts(c);
	(void)pages_pinned(c->t, &c->pinned, &err);
	c->filter = c->o->flags & DECANT_CAPTURE_FILTER ? c->o->filter :
							  target_coredump_filter(c->t);
	c->frozen = target_frozen(c->t);
	(void)shadow_may(c->t, &c->before, &c->fork_err);
	return look_text(c);
}

static int look_there(struct capture *c, const struct scope_part *p, struct pages_found *found)
{
	if (c->maps.v[p->vma].flags & VMA_SHARED)
		return capture_shared(c, p, found->there);
	return pages_scan(c->t, p->start, p->end, found, &c->err);
}

/* Bytes that must be copied in the stop, and the largest reason. */
static int look_stopped(struct capture *c, enum scope_cover cover, uint64_t *ret_bytes,
			const char **ret_why)
{
	uint64_t most = 0;
	int r = capture_scope_now(c, cover);

	*ret_bytes = 0;
	for (size_t i = 0; i < c->scope.n && r >= 0; i++) {
		const struct scope_part *p = &c->scope.v[i];
		struct pages_found found = { .there = &c->residue };
		uint64_t bytes;

		/* Opened now: what it says then of its last write is of before the stop. */
		if (p->how == SCOPE_FILE)
			(void)objects_fd(c->objects, &c->maps, &c->maps.v[p->vma]);
		if (p->how != SCOPE_STOPPED)
			continue;
		ranges_clear(&c->residue);
		r = look_there(c, p, &found);
		bytes = ranges_bytes(&c->residue);
		*ret_bytes += bytes;
		if (bytes > most) {
			most = bytes;
			*ret_why = p->why;
		}
	}
	return r;
}

int look_room(struct capture *c, enum scope_cover cover)
{
	const char *why = NULL;
	uint64_t bytes;
	int r = look_stopped(c, cover, &bytes, &why);

	if (r < 0)
		return r;
	r = keep_reserve(&c->keep, min_u64(bytes + bytes / 8 + (1 << 20), LOOK_STOP_ROOM_MAX),
			 LOOK_ROOM_PIECES);
	return r < 0 ? capture_fail(c, r, "room for the stop") : 0;
}

static int look_private(struct capture *c, struct forecast_facts *f)
{
	struct pages_found found = { .there = &c->written };
	int r = capture_scope_now(c, SCOPE_COVER_TRACK);

	ranges_clear(&c->written);
	for (size_t i = 0; i < c->scope.n && r >= 0; i++) {
		const struct scope_part *p = &c->scope.v[i];

		if (p->how == SCOPE_PRIVATE)
			r = pages_scan(c->t, p->start, p->end, &found, &c->err);
	}
	f->private_bytes = ranges_bytes(&c->written);
	f->huge_bytes = min_u64(found.huge_bytes, f->private_bytes);
	return r;
}

static void look_possible(struct capture *c, struct forecast_facts *f)
{
	enum track_kind kind = track_best(c->caps);

	if (kind == TRACK_NONE)
		f->no_track = look_no_track;
	else if (kind == TRACK_WP && !c->has_gadgets)
		f->no_track = c->gadgets_err.text;
	if (!c->has_gadgets)
		f->no_fork = c->gadgets_err.text;
	if (c->fork_err.text[0])
		f->no_fork = c->fork_err.text;
	if (c->frozen) {
		f->no_fork = look_frozen;
		if (kind == TRACK_WP)
			f->no_track = look_frozen;
	}
}

int look_forecast(struct capture *c, uint64_t sample_ns, struct decant_capture_plan *ret)
{
	struct forecast_facts f = {
		.threads = c->t->status.threads,
		.mappings = (unsigned)c->before.n,
		.dirty_bytes_per_s = UINT64_MAX,
		.pause_max_ns = c->pause_max_ns,
		.stream = c->stream,
		.fork_shows = c->t->status.ns_pid == 1,
		.frozen = c->frozen,
	};
	int r = look_stopped(c, SCOPE_COVER_FORK, &f.stopped_bytes[1], &f.stopped_why[1]);

	if (r >= 0)
		r = look_stopped(c, SCOPE_COVER_TRACK, &f.stopped_bytes[0], &f.stopped_why[0]);
	if (r >= 0)
		r = look_private(c, &f);
	if (r < 0)
		return r;
	look_possible(c, &f);
	f.stopped_bytes[0] += ranges_bytes(&c->pinned);
	if (sample_ns)
		f.dirty_bytes_per_s = sample_dirty(c->t, &c->written, sample_ns);
	forecast_make(&f, ret);
	ret->memory_bytes = f.private_bytes + f.stopped_bytes[0];
	ret->huge_bytes = f.huge_bytes;
	ret->stopped_bytes = f.stopped_bytes[0];
	ret->dirty_bytes_per_s = f.dirty_bytes_per_s;
	ret->threads = f.threads;
	ret->mappings = f.mappings;
	(void)snprintf(ret->stopped_why, sizeof(ret->stopped_why), "%s",
		       f.stopped_why[0] ? f.stopped_why[0] : "");
	return 0;
}
