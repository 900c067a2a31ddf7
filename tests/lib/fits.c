/* SPDX-License-Identifier: MIT */
#include "lib/fits.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/kit.h"

struct fits *fits_alloc(unsigned n)
{
	void *p = mmap(NULL, (n ? n : 1) * sizeof(struct fits), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		kit_die("mmap: %m");
	return p;
}

static bool fits_same(const struct fits *a, const struct fits *b)
{
	return a->from == b->from && a->from_fs == b->from_fs && a->to == b->to &&
	       a->to_fs == b->to_fs && a->len == b->len;
}

static bool fits_one(struct decant *d, struct fits *f, const struct source *from,
		     const struct sink *to, uint32_t guarantee)
{
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct decant_plan plan = DECANT_PLAN_INIT;

	t.from = from->end;
	t.to = to->end;
	t.len = f->len;
	t.route = f->route;
	t.checksum = f->checksum;
	t.flags = f->flags;
	t.guarantee = guarantee;
	return decant_plan(d, &t, &plan) == 0;
}

static void fits_answer(struct fits *f, unsigned n)
{
	struct decant *d[3] = { 0 };

	for (unsigned i = 0; i < n;) {
		unsigned first = i;
		struct source from;
		struct sink to;

		source_open(&from, f[i].from, f[i].from_fs, 0, f[i].len);
		sink_open(&to, f[i].to, f[i].to_fs, 0, f[i].len, NULL);
		for (; i < n && fits_same(&f[first], &f[i]); i++) {
			if (!d[f[i].backend])
				d[f[i].backend] = track_engine(f[i].backend, NULL);
			f[i].stable = fits_one(d[f[i].backend], &f[i], &from, &to, DECANT_STABLE);
			f[i].live = fits_one(d[f[i].backend], &f[i], &from, &to, DECANT_LIVE);
		}
		source_close(&from);
		sink_close(&to);
	}
	for (int b = 0; b < 3; b++)
		decant_close(d[b]);
}

void fits_ask(struct fits *f, unsigned n)
{
	pid_t pid = kit_must(fork());
	int status;

	if (pid == 0) {
		alarm(120);
		fits_answer(f, n);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0)
		kit_die("asking the planner for all pairs: status 0x%x", status);
}

unsigned fits_routes(void)
{
	unsigned n = 0;

	while (decant_routes()[n])
		n++;
	return n;
}

struct decant_transfer fits_open(const struct fits *f, struct source *from, struct sink *to)
{
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct pair_options o = { .holds = f->len };

	source_open(from, f->from, f->from_fs, 0, f->len);
	sink_open(to, f->to, f->to_fs, 0, f->len, &o);
	t.from = from->end;
	t.to = to->end;
	t.len = f->len;
	t.route = f->route;
	t.guarantee = DECANT_LIVE;
	return t;
}
