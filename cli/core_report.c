/* SPDX-License-Identifier: MIT */
#include "core_report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli.h"
#include "json_line.h"
#include "text.h"

#define CORE_COLUMNS 5
#define CORE_PAUSE_DEFAULT_NS UINT64_C(5000000)

void core_result_fail(struct core_result *r, int error, const char *message)
{
	if (r->error)
		return;
	r->error = error;
	r->status = CLI_FAILED;
	(void)snprintf(r->message, sizeof(r->message), "%s%s", message[0] ? "" : "core: ",
		       message[0] ? message : strerror(-error));
}

static uint64_t core_pause_max(const struct core_options *o)
{
	return o->pause_max_ns ? o->pause_max_ns : CORE_PAUSE_DEFAULT_NS;
}

/* ------------------------------------------------------------- the result */

static void core_print_details(FILE *f, const struct decant_capture_report *r)
{
	char a[TEXT_NUMBER_MAX], b[TEXT_NUMBER_MAX], c[TEXT_NUMBER_MAX];

	(void)fprintf(f, "  %u mapping%s, %u thread%s, stopped %u time%s for %s in all\n",
		      r->mappings, r->mappings == 1 ? "" : "s", r->threads,
		      r->threads == 1 ? "" : "s", r->stops, r->stops == 1 ? "" : "s",
		      text_duration(a, r->pauses_ns));
	(void)fprintf(f, "  %s read, of which %s in the stop; %s of CPU time\n",
		      text_bytes(a, r->copied_bytes),
		      text_bytes(b, r->residue_bytes + r->stopped_bytes),
		      text_duration(c, r->cpu_ns));
	if (r->swapped_bytes)
		(void)fprintf(f, "  %s were swapped out\n", text_bytes(a, r->swapped_bytes));
	if (r->whole_pause_ns / 2 > r->pause_ns)
		(void)fprintf(f, "  idle threads stood still for %s, for there are so many\n",
			      text_duration(a, r->whole_pause_ns));
}

void core_report_print(FILE *f, const struct core_result *result, const struct core_options *o)
{
	char bytes[TEXT_NUMBER_MAX], took[TEXT_NUMBER_MAX], pause[TEXT_NUMBER_MAX];
	char residue[TEXT_NUMBER_MAX], bad[TEXT_NUMBER_MAX];
	const struct decant_capture_report *r = &result->report;

	if (o->verbose)
		(void)fprintf(f, "strategy %s%s%s\n", core_strategy_name(r->strategy),
			      r->message[0] ? ": " : "", r->message);
	(void)fprintf(f, "%s: %s in %s; the process stood still for %s (%s",
		      result->output, text_bytes(bytes, r->memory_bytes),
		      text_duration(took, r->total_ns), text_duration(pause, r->pause_ns),
		      core_strategy_name(r->strategy));
	if (r->rounds && r->strategy == DECANT_STRATEGY_PRECOPY)
		(void)fprintf(f, ", %u round%s, %s residue", r->rounds, r->rounds == 1 ? "" : "s",
			      text_bytes(residue, r->residue_bytes));
	(void)fprintf(f, ")\n");
	if (o->verbose)
		core_print_details(f, r);
	if (r->unreadable_bytes)
		(void)fprintf(f, "  %s could not be read and are missing\n",
			      text_bytes(bad, r->unreadable_bytes));
	if (r->mixed_bytes)
		(void)fprintf(f, "  %s of mapped files were written to while they were read: they "
			      "may be newer\n", text_bytes(bad, r->mixed_bytes));
	if (r->pause_ns > core_pause_max(o) && (o->pause_max_ns || !o->strategy))
		(void)fprintf(f, "  that is longer than --max-pause\n");
}

static void core_json_report(struct json *j, const struct decant_capture_report *r)
{
	json_member_string(j, "strategy", core_strategy_name(r->strategy));
	json_member_string(j, "why", r->message);
	json_member_string(j, "tracking", r->tracking[0] ? r->tracking : NULL);
	json_member_u64(j, "rounds", r->rounds);
	json_member_u64(j, "threads", r->threads);
	json_member_u64(j, "mappings", r->mappings);
	json_member_u64(j, "stops", r->stops);
	json_member_u64(j, "pause_ns", r->pause_ns);
	json_member_u64(j, "whole_pause_ns", r->whole_pause_ns);
	json_member_u64(j, "instant_ns", r->instant_ns);
	json_member_u64(j, "pauses_ns", r->pauses_ns);
	json_member_u64(j, "total_ns", r->total_ns);
	json_member_u64(j, "cpu_ns", r->cpu_ns);
	json_member_u64(j, "memory_bytes", r->memory_bytes);
	json_member_u64(j, "file_bytes", r->file_bytes);
	json_member_u64(j, "copied_bytes", r->copied_bytes);
	json_member_u64(j, "residue_bytes", r->residue_bytes);
	json_member_u64(j, "stopped_bytes", r->stopped_bytes);
	json_member_u64(j, "swapped_bytes", r->swapped_bytes);
	json_member_u64(j, "unreadable_bytes", r->unreadable_bytes);
	json_member_u64(j, "mixed_bytes", r->mixed_bytes);
}

void core_report_json(FILE *f, const struct core_result *r, const struct core_options *o)
{
	struct json j = JSON_INIT;

	json_object(&j);
	json_member_i64(&j, "status", r->status);
	json_member_i64(&j, "pid", o->pid);
	json_member_string(&j, "output", r->output);
	core_json_report(&j, &r->report);
	json_line_error(&j, r->error, r->message);
	json_end(&j);
	json_line_print(f, &j);
}

/* Where it means something else than for a copy. */
static const char *core_advice(int error)
{
	switch (error) {
	case -E2BIG:
		return "--explain shows each strategy; --max-pause allows more, --best-effort "
		       "takes the best there is";
	case -EEXIST:
		return "--force replaces it, --output names another";
	case -EBUSY:
		return "detach the debugger or tracer first";
	case -EAGAIN:
		return "try again in a moment";
	case -ETIME:
		return "--timeout allows more";
	case -ESPIPE:
		return "--strategy fork can stream, or write to a file";
	/* These sentences say themselves what can be done. */
	case -EPERM:
	case -ENOTSUP:
	case -ESRCH:
	case -EINVAL:
	case -ECANCELED:
		return NULL;
	default:
		return cli_advice(error);
	}
}

void core_report_failure(const struct core_result *r, const struct core_options *o)
{
	if (!r->error)
		return;
	cli_error("%s", r->message);
	if (r->error == -EACCES && o->output == NULL)
		cli_hint("--output names a file in a directory of yours");
	else if (r->status == CLI_FAILED)
		cli_hint(core_advice(r->error));
}

/* --------------------------------------------------------------- --explain */

struct core_texts {
	char pause[TEXT_NUMBER_MAX], total[TEXT_NUMBER_MAX], copied[TEXT_NUMBER_MAX];
};

static void core_plan_row(struct text_cell *cells, struct core_texts *t,
			  const struct decant_forecast *f, uint64_t pause_max_ns)
{
	const char *none = "-";
	bool short_enough = f->pause_ns <= pause_max_ns;

	cells[0] = (struct text_cell){ core_strategy_name(f->strategy), TEXT_PLAIN };
	for (size_t i = 1; i < 4; i++)
		cells[i] = (struct text_cell){ none, TEXT_DIM };
	if (f->possible) {
		cells[1] = (struct text_cell){ text_duration(t->pause, f->pause_ns),
					       short_enough ? TEXT_GOOD : TEXT_BAD };
		cells[2] = (struct text_cell){ text_duration(t->total, f->total_ns), TEXT_PLAIN };
		cells[3] = (struct text_cell){ text_bytes(t->copied, f->copied_bytes), TEXT_PLAIN };
	}
	cells[4] = (struct text_cell){ f->why, TEXT_PLAIN };
	if (f->possible && !f->why[0])
		cells[4].text = short_enough ? "short enough" : "longer than --max-pause";
}

static void core_plan_head(FILE *f, const struct decant_capture_plan *p,
			   const struct core_options *o)
{
	char memory[TEXT_NUMBER_MAX], huge[TEXT_NUMBER_MAX], dirty[TEXT_NUMBER_MAX];
	char stopped[TEXT_NUMBER_MAX], limit[TEXT_NUMBER_MAX];

	(void)fprintf(f, "process    %d: %u thread%s, %u mappings\n", (int)o->pid, p->threads,
		      p->threads == 1 ? "" : "s", p->mappings);
	(void)fprintf(f, "memory     %s, of which %s in huge pages\n",
		      text_bytes(memory, p->memory_bytes), text_bytes(huge, p->huge_bytes));
	if (p->dirty_bytes_per_s == UINT64_MAX)
		(void)fprintf(f, "written    cannot be seen from outside on this kernel\n");
	else
		(void)fprintf(f, "written    about %s a second\n",
			      text_bytes(dirty, p->dirty_bytes_per_s));
	if (p->stopped_bytes)
		(void)fprintf(f, "in stop    %s whatever the strategy: %s\n",
			      text_bytes(stopped, p->stopped_bytes), p->stopped_why);
	(void)fprintf(f, "max pause  %s: %s%s\n", text_duration(limit, core_pause_max(o)),
		      p->strategy == DECANT_STRATEGY_AUTO ? "nothing keeps it" :
							    "auto would take ",
		      p->strategy == DECANT_STRATEGY_AUTO ? "" : core_strategy_name(p->strategy));
}

void core_plan_print(FILE *f, const struct decant_capture_plan *p, const struct core_options *o)
{
	static const char *const heads[CORE_COLUMNS] = { "STRATEGY", "PAUSE", "TIME", "READ",
							 "WHY" };
	struct text_cell cells[4 * CORE_COLUMNS];
	struct core_texts texts[3];

	core_plan_head(f, p, o);
	(void)fputc('\n', f);
	for (size_t i = 0; i < CORE_COLUMNS; i++)
		cells[i] = (struct text_cell){ heads[i], TEXT_BOLD };
	for (size_t i = 0; i < 3; i++)
		core_plan_row(cells + (i + 1) * CORE_COLUMNS, &texts[i], &p->forecasts[i],
			      core_pause_max(o));
	text_table(f, cells, 4, CORE_COLUMNS, 0, 1u << 1 | 1u << 2 | 1u << 3);
}

void core_plan_json(FILE *f, const struct decant_capture_plan *p, const struct core_options *o)
{
	struct json j = JSON_INIT;

	json_object(&j);
	json_member_i64(&j, "pid", o->pid);
	json_member_string(&j, "strategy", p->strategy == DECANT_STRATEGY_AUTO ?
						   NULL : core_strategy_name(p->strategy));
	json_member_u64(&j, "max_pause_ns", core_pause_max(o));
	json_member_u64(&j, "threads", p->threads);
	json_member_u64(&j, "mappings", p->mappings);
	json_member_u64(&j, "memory_bytes", p->memory_bytes);
	json_member_u64(&j, "huge_bytes", p->huge_bytes);
	json_member_u64(&j, "stopped_bytes", p->stopped_bytes);
	json_member_string(&j, "stopped_why", p->stopped_why);
	json_key(&j, "dirty_bytes_per_s");
	if (p->dirty_bytes_per_s == UINT64_MAX)
		json_null(&j);
	else
		json_u64(&j, p->dirty_bytes_per_s);
	json_key(&j, "forecasts");
	json_array(&j);
	for (size_t i = 0; i < 3; i++) {
		const struct decant_forecast *c = &p->forecasts[i];

		json_object(&j);
		json_member_string(&j, "strategy", core_strategy_name(c->strategy));
		json_member_bool(&j, "possible", c->possible);
		json_member_u64(&j, "pause_ns", c->pause_ns);
		json_member_u64(&j, "total_ns", c->total_ns);
		json_member_u64(&j, "copied_bytes", c->copied_bytes);
		json_member_string(&j, "why", c->why);
		json_end(&j);
	}
	json_end(&j);
	json_end(&j);
	json_line_print(f, &j);
}
