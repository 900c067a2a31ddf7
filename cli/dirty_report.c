/* SPDX-License-Identifier: MIT */
#include "dirty_report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "core_options.h"
#include "text.h"

#define REPORT_COLUMNS 6
#define REPORT_PAGE 4096u

void dirty_result_fail(struct dirty_result *r, int error, const char *message)
{
	if (r->error)
		return;
	r->error = error;
	r->status = CLI_FAILED;
	(void)snprintf(r->message, sizeof(r->message), "%s", message);
}

/* What can be done about it is part of most of these sentences. */
void dirty_report_failure(const struct dirty_result *r)
{
	if (!r->error)
		return;
	cli_error("%s", r->message);
	if (r->error == -EBUSY)
		cli_hint("detach the debugger or tracer first");
	else if (r->error == -EAGAIN)
		cli_hint("try again in a moment");
	else if (r->error == -EEXIST)
		cli_hint("--force replaces it");
	else if (r->status == CLI_FAILED && r->error != -EPERM && r->error != -ENOTSUP &&
		 r->error != -ESRCH)
		cli_hint(cli_advice(r->error));
}

/* ------------------------------------------------------------- the end of it */

static void report_windows(const struct decant_dirty_plan *p)
{
	char ns[TEXT_NUMBER_MAX], bytes[TEXT_NUMBER_MAX];
	unsigned step = p->windows_n > 8 ? (p->windows_n + 7) / 8 : 1;

	(void)printf("different pages within ");
	/* The last one always. */
	for (unsigned i = (p->windows_n - 1) % step; i < p->windows_n; i += step)
		(void)printf("%s%s: %s", i < step ? "" : ", ", text_duration(ns, p->windows[i].ns),
			     text_bytes(bytes, p->windows[i].pages * REPORT_PAGE));
	(void)printf("\n");
}

struct report_texts {
	char rounds[24], pause[TEXT_NUMBER_MAX], total[TEXT_NUMBER_MAX], copied[TEXT_NUMBER_MAX];
	char why[200], twice[TEXT_NUMBER_MAX], bytes[TEXT_NUMBER_MAX];
};

static void report_row(struct text_cell *cells, struct report_texts *t,
		       const struct decant_dirty_forecast *f, uint64_t pause_max_ns)
{
	bool good = f->converges && f->pause_ns <= pause_max_ns;

	cells[0] = (struct text_cell){ core_strategy_name(f->strategy), TEXT_PLAIN };
	for (size_t i = 1; i < REPORT_COLUMNS - 1; i++)
		cells[i] = (struct text_cell){ "-", TEXT_DIM };
	cells[5] = (struct text_cell){ f->why, TEXT_PLAIN };
	if (!f->possible)
		return;
	if (f->strategy == DECANT_STRATEGY_PRECOPY) {
		/* The first one copies all. */
		(void)snprintf(t->rounds, sizeof(t->rounds), "%" PRIu32, f->rounds + 1);
		cells[1] = (struct text_cell){ t->rounds, TEXT_PLAIN };
	}
	cells[2] = (struct text_cell){ text_duration(t->total, f->total_ns), TEXT_PLAIN };
	cells[3] = (struct text_cell){ text_duration(t->pause, f->pause_ns),
				       good ? TEXT_GOOD : TEXT_BAD };
	cells[4] = (struct text_cell){ text_bytes(t->copied, f->copied_bytes), TEXT_PLAIN };
	if (f->why[0])
		return;
	if (!good)
		(void)snprintf(t->why, sizeof(t->why), "longer than --max-pause");
	else
		(void)snprintf(t->why, sizeof(t->why), "short enough");
	if (f->twice_bytes)
		(void)snprintf(t->why + strlen(t->why), sizeof(t->why) - strlen(t->why),
			       "; %s of memory more for a while",
			       text_bytes(t->twice, f->twice_bytes));
	else if (f->residue_bytes)
		(void)snprintf(t->why + strlen(t->why), sizeof(t->why) - strlen(t->why),
			       "; %s in the stop", text_bytes(t->bytes, f->residue_bytes));
	cells[5].text = t->why;
}

static void report_plan(const struct decant_dirty_plan *p)
{
	static const char *const heads[REPORT_COLUMNS] = { "STRATEGY", "ROUNDS", "TIME", "PAUSE",
							   "READ", "" };
	static const char *const from[] = { "as given", "this disk", "reading it" };
	struct text_cell cells[4 * REPORT_COLUMNS];
	struct report_texts texts[3];
	char memory[TEXT_NUMBER_MAX], rate[TEXT_NUMBER_MAX], bytes[TEXT_NUMBER_MAX];

	(void)printf("\na capture of its %s at %s/s (%s) would take:\n",
		     text_bytes(memory, p->memory_bytes), text_bytes(rate, p->bandwidth_bytes),
		     from[p->bandwidth_from % 3]);
	for (size_t i = 0; i < REPORT_COLUMNS; i++)
		cells[i] = (struct text_cell){ heads[i], TEXT_BOLD };
	for (size_t i = 0; i < 3; i++)
		report_row(cells + (i + 1) * REPORT_COLUMNS, &texts[i], &p->forecasts[i],
			   p->pause_max_ns);
	text_table(stdout, cells, 4, REPORT_COLUMNS, 0, 1u << 1 | 1u << 2 | 1u << 3 | 1u << 4);
	if (p->stopped_bytes)
		(void)printf("%s of it in the stop, whatever the strategy: %s\n",
			     text_bytes(bytes, p->stopped_bytes), p->stopped_why);
}

void dirty_print_result(const struct dirty_result *r, const struct dirty_options *o)
{
	char took[TEXT_NUMBER_MAX], pause[TEXT_NUMBER_MAX], rate[TEXT_NUMBER_MAX];
	char bytes[TEXT_NUMBER_MAX];
	double seconds = (double)r->time_ns / 1e9;
	double pages = seconds > 0 ? (double)r->pages / seconds : 0;

	if (r->ended)
		(void)printf("process %d %s\n", (int)o->pid, r->end);
	(void)printf("%s%d (%s): %.0f pages/s, %s/s in %s", r->drawn ? "\n" : "", (int)o->pid,
		     r->name, pages, text_bytes(rate, (uint64_t)(pages * REPORT_PAGE)),
		     text_duration(took, r->time_ns));
	if (r->seen_pages != UINT64_MAX)
		(void)printf("; different ones: %s", text_bytes(bytes,
								r->seen_pages * REPORT_PAGE));
	if (r->report.stops)
		(void)printf("; it stood still once, for %s\n",
			     text_duration(pause, r->report.pause_ns));
	else
		(void)printf("; it was not stopped\n");
	if (r->has_plan) {
		report_windows(&r->plan);
		report_plan(&r->plan);
	}
	if (o->svg && !r->error)
		(void)printf("\nheat map: %s\n", o->svg);
}
