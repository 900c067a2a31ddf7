/* SPDX-License-Identifier: MIT */
/*
 * Written pages of a process whose every write is known: exactly these are
 * told, by mapping and interval.  Nothing is left behind in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "decant.h"
#include "lib/kit.h"
#include "lib/victims.h"
#include "tap.h"
#include "victims/pages.h"

#define STEPS 28
#define PATIENCE_MS 20000

static char file[256];           /* what the victim maps */

static void make_file(void)
{
	unsigned char page[PAGES_SIZE];
	int fd;

	snprintf(file, sizeof(file), "%s/decant-dirty.XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp");
	fd = kit_must(mkstemp(file));
	for (unsigned i = 0; i < PAGES_EACH; i++) {
		memset(page, (int)(i & 255), sizeof(page));
		kit_write_all(fd, page, sizeof(page), -1);
	}
	close(fd);
}

/* ------------------------------------------------------------------ a watch */

struct watch {
	struct victim v;
	struct decant *d;
	struct decant_target *t;
	struct decant_dirty *c;
	struct decant_dirty_report report;
	struct decant_dirty_interval i;
	unsigned step;
	bool looked;             /* in this interval: what was written then stays told */
	/* The model: written in the interval, and ever. */
	bool now[PAGES_MAPS_N][PAGES_EACH], ever[PAGES_MAPS_N][PAGES_EACH];
};

static void begin(struct watch *w, uint32_t track, const char *mask, const char *victim)
{
	struct decant_options o = DECANT_OPTIONS_INIT;
	struct decant_dirty_options dirty = DECANT_DIRTY_OPTIONS_INIT;

	*w = (struct watch){ .report = DECANT_DIRTY_REPORT_INIT,
			     .i = DECANT_DIRTY_INTERVAL_INIT };
	victim_begin(&w->v, VICTIM_MAPS, "pages --file %s %s", file, victim);
	o.mask = mask;
	need(decant_open(&w->d, &o) == 0, "an engine");
	need(decant_target_open(w->d, &w->t, w->v.pid) == 0, "%s", decant_strerror(w->d));
	dirty.track = track;
	dirty.bandwidth_bytes = 1000000000;
	need(decant_dirty_begin(w->d, &w->c, w->t, &dirty, &w->report) == 0, "%s",
	     decant_strerror(w->d));
}

static void end(struct watch *w)
{
	const char *harm;

	decant_dirty_end(w->c);
	decant_target_close(w->t);
	decant_close(w->d);
	harm = victim_harm(&w->v);
	ok(!harm, "no harm: %s", harm ? harm : "none");
	victim_end(&w->v);
}

/* The victim makes one step, and the model with it. */
static void step(struct watch *w)
{
	w->step++;
	__atomic_store_n(&w->v.report->ask, w->step, __ATOMIC_RELEASE);
	for (unsigned ms = 0;
	     __atomic_load_n(&w->v.report->answered, __ATOMIC_ACQUIRE) != w->step; ms++) {
		need(ms < PATIENCE_MS, "step %u", w->step);
		kit_sleep_ms(1);
	}
	for (unsigned map = 0; map < PAGES_MAPS_N; map++)
		for (unsigned i = 0; i < PAGES_EACH; i++) {
			enum pages_deed deed = pages_deed(w->step, map, i);

			/* Dropped is not there any more, and a new mapping begins empty. */
			if (pages_written(deed))
				w->now[map][i] = true;
			else if (map == PAGES_NEW || deed == PAGES_DROP ||
				 deed == PAGES_WRITE_DROP)
				w->now[map][i] &= w->looked;
		}
}

static bool told(const struct decant_dirty_interval *i, uint64_t addr)
{
	size_t low = 0, high = i->ranges_n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (i->ranges[mid].end > addr)
			high = mid;
		else
			low = mid + 1;
	}
	return low < i->ranges_n && i->ranges[low].start <= addr;
}

/* Soft-dirty bits are of huge pages, where the kernel has made some: all of one is told. */
static bool is_coarse(const struct watch *w, unsigned map)
{
	return map == PAGES_HUGE && strcmp(w->report.tracking, "soft-dirty") == 0;
}

/* Pages that were told and not written, or the other way round. */
static unsigned wrong(struct watch *w, uint64_t *ret_first)
{
	unsigned n = 0;

	for (unsigned map = 0; map < PAGES_MAPS_N; map++)
		for (unsigned i = 0; i < PAGES_EACH; i++)
			if (told(&w->i, pages_addr(map, i)) != w->now[map][i] &&
			    (w->now[map][i] || !is_coarse(w, map))) {
				if (!n++ && ret_first)
					*ret_first = pages_addr(map, i);
				if (n < 4)
					diag("step %u, mapping %u, page %u, deed %d: %s", w->step,
					     map, i, (int)pages_deed(w->step, map, i),
					     w->now[map][i] ? "not told" : "told");
			}
	return n;
}

static unsigned model_pages(const struct watch *w, unsigned map)
{
	unsigned n = 0;

	for (unsigned i = 0; i < PAGES_EACH; i++)
		n += w->now[map][i];
	return n;
}

static const struct decant_dirty_mapping *mapping_at(const struct watch *w, uint64_t addr)
{
	for (size_t i = 0; i < w->i.mappings_n; i++)
		if (w->i.mappings[i].start <= addr && addr < w->i.mappings[i].end)
			return &w->i.mappings[i];
	return NULL;
}

/* By mapping, and nothing elsewhere but where the victim's own stack and report are. */
static void check_mappings(struct watch *w)
{
	uint64_t sum = 0;

	for (unsigned map = 0; map < PAGES_MAPS_N; map++) {
		const struct decant_dirty_mapping *m = mapping_at(w, pages_addr(map, 0));

		need(m, "mapping %u is listed", map);
		if (is_coarse(w, map))
			ok(m->pages >= model_pages(w, map), "step %u: huge pages", w->step);
		else
			is_int(m->pages, model_pages(w, map), "step %u: pages of mapping %u",
			       w->step, map);
	}
	for (size_t i = 0; i < w->i.mappings_n; i++) {
		const struct decant_dirty_mapping *m = &w->i.mappings[i];
		bool ours = m->start >= PAGES_MAPS_BASE &&
			    m->start < PAGES_MAPS_BASE + PAGES_MAPS_N * PAGES_MAPS_GAP;

		sum += m->pages;
		ok(m->start < m->end && (i == 0 || m->start >= m[-1].end), "by address");
		ok(ours || m->pages <= 8, "step %u: %s has %u pages", w->step, m->name,
		   (unsigned)m->pages);
	}
	is_int(sum + w->i.gone_pages, w->i.pages, "step %u: all are in mappings", w->step);
	is_int(w->i.gone_pages, 0, "none are gone");
}

static void next(struct watch *w)
{
	need(decant_dirty_next(w->c, &w->i) == 0, "%s", decant_strerror(w->d));
}

static void forget(struct watch *w)
{
	for (unsigned map = 0; map < PAGES_MAPS_N; map++)
		for (unsigned i = 0; i < PAGES_EACH; i++)
			w->ever[map][i] |= w->now[map][i];
	memset(w->now, 0, sizeof(w->now));
}

/* -------------------------------------------------------------------- cases */

static void exact(const void *arg)
{
	const uint32_t track = *(const uint32_t *)arg;
	static struct watch w;
	uint64_t before = 0, ever, bytes;
	bool soft;

	begin(&w, track, NULL, "");
	soft = strcmp(w.report.tracking, "soft-dirty") == 0;
	ok(soft || (track == DECANT_TRACK_AUTO && strcmp(w.report.tracking, "wp") == 0),
	   "tracking by %s", w.report.tracking);
	is_int(w.report.stops, soft ? 0 : 1, "stops");
	for (unsigned n = 0; n < STEPS; n++) {
		/* Two steps in one interval now and then, none in others. */
		for (unsigned k = 0; k < (n % 5 == 4 ? 2u : n % 11 == 10 ? 0u : 1u); k++)
			step(&w);
		next(&w);
		is_int(wrong(&w, NULL), 0, "step %u: exactly the pages written", w.step);
		check_mappings(&w);
		is_int(w.i.looks, 1, "one look");
		ok(w.i.begin_ns >= before && w.i.end_ns >= w.i.begin_ns, "intervals follow");
		before = w.i.end_ns;
		forget(&w);
		ever = bytes = 0;
		for (unsigned map = 0; map < PAGES_MAPS_N; map++)
			for (unsigned i = 0; i < PAGES_EACH; i++)
				ever += w.ever[map][i];
		for (size_t i = 0; i < w.i.ranges_n; i++)
			bytes += w.i.ranges[i].end - w.i.ranges[i].start;
		is_int(bytes / PAGES_SIZE, w.i.pages, "ranges are the pages");
		ok(w.i.seen_pages >= ever && w.i.seen_pages <= ever + 40 + (soft ? PAGES_EACH : 0),
		   "seen: %u, model %u", (unsigned)w.i.seen_pages, (unsigned)ever);
		ok(w.i.new_pages <= w.i.pages, "new ones are among them");
	}
	end(&w);
}

/* Looks within an interval change nothing; what was dropped after a look was written. */
static void looks(void)
{
	static struct watch w;

	begin(&w, DECANT_TRACK_AUTO, NULL, "");
	for (unsigned n = 0; n < 12; n++) {
		for (unsigned k = 0; k < 3; k++) {
			w.looked = k > 0;
			step(&w);
			need(decant_dirty_look(w.c) == 0, "%s", decant_strerror(w.d));
		}
		next(&w);
		is_int(w.i.looks, 4, "looks");
		is_int(wrong(&w, NULL), 0, "to step %u: exactly the pages written", w.step);
		forget(&w);
	}
	end(&w);
}

/* A page of those that should be written in step 1, and is not. */
static void control(void)
{
	static struct watch w;
	uint64_t first = 0;
	char words[32];
	unsigned page = 0;

	while (pages_deed(1, PAGES_ANON, page) != PAGES_WRITE)
		page++;
	snprintf(words, sizeof(words), "--forget %u", page);
	begin(&w, DECANT_TRACK_AUTO, NULL, words);
	step(&w);
	next(&w);
	is_int(wrong(&w, &first), 1, "one page is wrong");
	ok(first == pages_addr(PAGES_ANON, page), "that one");
	end(&w);
}

static void names(void)
{
	static struct watch w;
	const struct decant_dirty_mapping *m;
	bool stack = false;

	begin(&w, DECANT_TRACK_AUTO, NULL, "");
	step(&w);
	next(&w);
	m = mapping_at(&w, pages_addr(PAGES_FILE, 0));
	need(m, "the file");
	is_str(m->name, file, "its name");
	is_int(m->flags, DECANT_DIRTY_READ | DECANT_DIRTY_WRITE | DECANT_DIRTY_FILE, "its flags");
	m = mapping_at(&w, pages_addr(PAGES_SHARED, 0));
	need(m, "shared memory");
	ok(m->flags & DECANT_DIRTY_SHARED, "is marked");
	for (size_t i = 0; i < w.i.mappings_n; i++)
		stack |= strcmp(w.i.mappings[i].name, "[stack]") == 0;
	ok(stack, "the stack");
	end(&w);
}

static void target_dies(void)
{
	struct decant_dirty_plan plan = DECANT_DIRTY_PLAN_INIT;
	static struct watch w;

	begin(&w, DECANT_TRACK_AUTO, NULL, "");
	step(&w);
	next(&w);
	forget(&w);
	step(&w);
	need(decant_dirty_look(w.c) == 0, "a look");
	kill(w.v.pid, SIGKILL);
	waitpid(w.v.child, NULL, 0);
	is_int(decant_dirty_next(w.c, &w.i), -ESRCH, "it has ended");
	ok(strstr(decant_strerror(w.d), "has ended"), "and that is said: %s",
	   decant_strerror(w.d));
	is_int(wrong(&w, NULL), 0, "what was seen is told");
	is_int(decant_dirty_look(w.c), -ESRCH, "once more");
	is_int(decant_dirty_plan(w.c, &plan), 0, "and what a capture would have taken");
	ok(plan.forecasts[2].total_ns > 0, "the stop");
	decant_dirty_end(w.c);
	decant_target_close(w.t);
	decant_close(w.d);
	w.v.child = w.v.pid = 0;
}

static void plans(void)
{
	struct decant_dirty_plan plan = DECANT_DIRTY_PLAN_INIT;
	static struct watch w;
	uint64_t last_ns = 0;

	begin(&w, DECANT_TRACK_AUTO, NULL, "");
	is_int(decant_dirty_plan(w.c, &plan), -ENODATA, "nothing was seen yet");
	for (unsigned n = 0; n < 8; n++) {
		step(&w);
		need(decant_dirty_look(w.c) == 0, "a look");
		kit_sleep_ms(1 << n);
		next(&w);
	}
	need(decant_dirty_plan(w.c, &plan) == 0, "%s", decant_strerror(w.d));
	is_int(plan.bandwidth_bytes, 1000000000, "the bandwidth that was given");
	is_int(plan.bandwidth_from, DECANT_DIRTY_GIVEN, "and from where it is");
	ok(plan.memory_bytes >= 2 * PAGES_EACH * PAGES_SIZE, "memory");
	ok(plan.windows_n >= 3, "%u windows", plan.windows_n);
	for (unsigned i = 0; i < plan.windows_n; i++) {
		ok(plan.windows[i].ns > last_ns && plan.windows[i].n > 0, "longer ones");
		last_ns = plan.windows[i].ns;
	}
	for (unsigned i = 0; i < 3; i++) {
		is_int(plan.forecasts[i].strategy, DECANT_STRATEGY_PRECOPY + i, "in order");
		ok(plan.forecasts[i].possible, "%u: possible: %s", i, plan.forecasts[i].why);
		ok(plan.forecasts[i].total_ns >= plan.forecasts[i].pause_ns,
		   "longer than its pause");
	}
	ok(plan.forecasts[2].pause_ns >= plan.memory_bytes, "a ns each byte of the stop");
	end(&w);
}

static void measured(void)
{
	struct decant_dirty_plan plan = DECANT_DIRTY_PLAN_INIT;
	struct decant_dirty_options o = DECANT_DIRTY_OPTIONS_INIT;
	static struct watch w;

	begin(&w, DECANT_TRACK_AUTO, NULL, "");
	decant_dirty_end(w.c);
	o.dir = "/dev/shm";
	need(decant_dirty_begin(w.d, &w.c, w.t, &o, NULL) == 0, "again");
	step(&w);
	next(&w);
	need(decant_dirty_plan(w.c, &plan) == 0, "%s", decant_strerror(w.d));
	ok(plan.bandwidth_bytes > 1000000, "%u MB/s", (unsigned)(plan.bandwidth_bytes / 1000000));
	ok(plan.bandwidth_from != DECANT_DIRTY_GIVEN, "measured");
	end(&w);
}

static void refusals(void)
{
	struct decant_dirty_options o = DECANT_DIRTY_OPTIONS_INIT;
	struct decant_options masked = DECANT_OPTIONS_INIT;
	struct decant_dirty_interval small = { .size = 8 };
	struct decant_dirty *c = NULL;
	static struct watch w;

	begin(&w, DECANT_TRACK_AUTO, NULL, "");
	is_int(decant_dirty_next(w.c, &small), -EINVAL, "an interval without its size");
	is_int(decant_dirty_look(NULL), -EINVAL, "nothing");
	o.flags = 1 << 30;
	is_int(decant_dirty_begin(w.d, &c, w.t, &o, NULL), -EINVAL, "unknown flag");
	o = (struct decant_dirty_options){ 0 };
	is_int(decant_dirty_begin(w.d, &c, w.t, &o, NULL), -EINVAL, "no size");
	decant_dirty_end(w.c);
	decant_target_close(w.t);
	decant_close(w.d);
	masked.mask = "uffd_wp_async,soft_dirty";
	need(decant_open(&w.d, &masked) == 0, "an engine");
	need(decant_target_open(w.d, &w.t, w.v.pid) == 0, "%s", decant_strerror(w.d));
	is_int(decant_dirty_begin(w.d, &c, w.t, NULL, NULL), -ENOTSUP, "nothing to track with");
	ok(strstr(decant_strerror(w.d), "soft-dirty"), "says why: %s", decant_strerror(w.d));
	w.c = NULL;
	end(&w);
}

/* A kernel, or a mask, without the one has the other. */
static void fallback(void)
{
	static struct watch w;

	begin(&w, DECANT_TRACK_AUTO, "uffd_wp_async", "");
	is_str(w.report.tracking, "soft-dirty", "tracking");
	for (unsigned n = 0; n < 10; n++) {
		step(&w);
		next(&w);
		is_int(wrong(&w, NULL), 0, "step %u: exactly the pages written", w.step);
		forget(&w);
	}
	end(&w);
}

static bool has_soft_dirty(void)
{
	struct decant_fact facts[64];
	struct decant *d;
	bool has = false;
	int n;

	need(decant_open(&d, NULL) == 0, "an engine");
	n = decant_facts(d, facts, 64);
	for (int i = 0; i < n && i < 64; i++)
		has |= strcmp(facts[i].name, "soft_dirty") == 0 && facts[i].state == DECANT_YES;
	decant_close(d);
	return has;
}

int main(void)
{
	static const uint32_t tracks[] = { DECANT_TRACK_AUTO, DECANT_TRACK_SOFT_DIRTY };

	kit_start(200);
	need_root();
	make_file();
	tap_case_seconds = 60;
	kit_case(exact, &tracks[0], "a victim whose writes are known");
	tap_case("looks within an interval", looks);
	tap_case("control: a page that is not written is missed", control);
	tap_case("names and flags", names);
	tap_case("the target ends", target_dies);
	tap_case("what captures would take", plans);
	tap_case("bandwidth that is measured", measured);
	tap_case("what is refused", refusals);
	if (has_soft_dirty()) {
		kit_case(exact, &tracks[1], "soft-dirty bits, asked for");
		tap_case("soft-dirty bits, for lack of better", fallback);
	}
	unlink(file);
	return done();
}
