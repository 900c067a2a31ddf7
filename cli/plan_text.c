/* SPDX-License-Identifier: MIT */
#include "plan_text.h"

#include <string.h>

#include "base/json.h"
#include "json_line.h"
#include "text.h"

#define PLAN_ROWS_MAX 12

static const char *plan_guarantee(uint32_t guarantee)
{
	return guarantee == DECANT_LIVE ? "live" : "stable";
}

static const char *plan_guarantee_meaning(uint32_t guarantee)
{
	if (guarantee == DECANT_LIVE)
		return "live: a later change of the source may reach the receiver";
	return "stable: every byte is one that the source held before SNAPSHOTTED";
}

static const char *plan_cost(char *buf, size_t size, const struct decant_plan *plan)
{
	char took[TEXT_NUMBER_MAX], cpu[TEXT_NUMBER_MAX], bytes[TEXT_NUMBER_MAX];

	if (plan->time_ns == 0)
		return "not known: the source ends when it ends";
	(void)snprintf(buf, size, "%s for %s, %s of CPU time (%.0f and %.0f ns/KiB)",
		       text_duration(took, plan->time_ns), text_bytes(bytes, plan->len),
		       text_duration(cpu, plan->cpu_ns),
		       plan->len ? (double)plan->time_ns * 1024 / (double)plan->len : 0.0,
		       plan->len ? (double)plan->cpu_ns * 1024 / (double)plan->len : 0.0);
	return buf;
}

/* "route NAME: ..." and "no route from ...", without what the row's name says. */
static const char *plan_why_none(const char *message)
{
	static const char *const heads[] = { "no route ", "route " };

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		if (strncmp(message, heads[i], strlen(heads[i])) == 0)
			return message + strlen(heads[i]);
	return message;
}

struct plan_rows {
	struct text_cell cells[PLAN_ROWS_MAX * 2];
	size_t n;
};

static void plan_row(struct plan_rows *rows, const char *name, const char *text,
		     enum text_style style)
{
	if (!text[0] || rows->n == PLAN_ROWS_MAX)
		return;
	rows->cells[rows->n * 2] = (struct text_cell){ name, TEXT_DIM };
	rows->cells[rows->n * 2 + 1] = (struct text_cell){ text, style };
	rows->n++;
}

/* Refused for what the ends are: that says nothing about this transfer. */
static bool plan_is_foreign(const struct decant_refusal *r)
{
	return strstr(r->why, "this route needs ") != NULL;
}

static void plan_refused_row(struct text_cell cells[4], char copies[16],
			     const struct decant_refusal *r)
{
	(void)snprintf(copies, 16, "%u cop%s", r->copies, r->copies == 1 ? "y" : "ies");
	cells[0] = (struct text_cell){ r->route, TEXT_PLAIN };
	cells[1] = (struct text_cell){ copies, TEXT_DIM };
	cells[2] = (struct text_cell){
		plan_guarantee(r->guarantee), r->guarantee == DECANT_LIVE ? TEXT_DOUBT : TEXT_DIM,
	};
	cells[3] = (struct text_cell){ r->why, TEXT_PLAIN };
}

/* Routes go by one name for several kinds of ends: is it told of elsewhere? */
static bool plan_is_told(const struct decant_plan *plan, uint32_t n, uint32_t at)
{
	const char *name = plan->refused[at].route;

	if (strcmp(name, plan->route) == 0)
		return true;
	for (uint32_t i = 0; i < n; i++)
		if (strcmp(plan->refused[i].route, name) == 0 &&
		    (i < at || !plan_is_foreign(&plan->refused[i])))
			return true;
	return false;
}

/* The names of those that were left out, each once. */
static void plan_print_foreign(FILE *f, const struct decant_plan *plan, uint32_t n)
{
	static const char head[] = "For other kinds of ends: ";
	char names[DECANT_ROUTES_MAX * 26] = "";
	size_t len = 0;

	for (uint32_t i = 0; i < n; i++)
		if (!plan_is_told(plan, n, i))
			len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s",
						len ? ", " : "", plan->refused[i].route);
	if (!len)
		return;
	(void)fprintf(f, "\n%s", head);
	text_wrap(f, names, sizeof(head) - 1, sizeof(head) - 1, text_width(f));
	(void)fputc('\n', f);
}

static void plan_print_refused(FILE *f, const struct plan_text *t)
{
	struct text_cell cells[DECANT_ROUTES_MAX * 4];
	const struct decant_plan *plan = t->plan;
	char copies[DECANT_ROUTES_MAX][16];
	uint32_t n = plan->refused_n < DECANT_ROUTES_MAX ? plan->refused_n : DECANT_ROUTES_MAX;
	uint32_t rows = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (!t->verbose && plan_is_foreign(&plan->refused[i]))
			continue;
		plan_refused_row(cells + rows * 4, copies[rows], &plan->refused[i]);
		rows++;
	}
	if (rows) {
		(void)fputc('\n', f);
		text_styled(f, TEXT_BOLD,
			    t->error ? "Refused routes" : "Refused routes, better first");
		(void)fputc('\n', f);
		text_table(f, cells, rows, 4, 2, 0);
	}
	if (!t->verbose)
		plan_print_foreign(f, plan, n);
}

void plan_text_print(FILE *f, const struct plan_text *t)
{
	const struct decant_plan *plan = t->plan;
	struct plan_rows rows = { .n = 0 };
	char copies[64], cost[128];

	plan_row(&rows, "from", t->from, TEXT_PLAIN);
	plan_row(&rows, "to", t->to, TEXT_PLAIN);
	if (!t->error) {
		(void)snprintf(copies, sizeof(copies), "%u on this side", plan->copies);
		plan_row(&rows, "route", plan->route, TEXT_GOOD);
		plan_row(&rows, "CPU copies", copies, TEXT_PLAIN);
		plan_row(&rows, "guarantee", plan_guarantee_meaning(plan->guarantee),
			 TEXT_PLAIN);
		plan_row(&rows, "SNAPSHOTTED", plan->snapshotted, TEXT_PLAIN);
		plan_row(&rows, "DELIVERED", plan->delivered, TEXT_PLAIN);
		plan_row(&rows, "expected cost", plan_cost(cost, sizeof(cost), plan), TEXT_PLAIN);
		plan_row(&rows, "note", plan->note, TEXT_PLAIN);
	} else {
		plan_row(&rows, "no route", plan_why_none(t->message), TEXT_BAD);
	}
	plan_row(&rows, "assumed", t->from_assumed, TEXT_PLAIN);
	plan_row(&rows, t->from_assumed[0] ? "" : "assumed", t->to_assumed, TEXT_PLAIN);
	text_table(f, rows.cells, rows.n, 2, 0, 0);
	plan_print_refused(f, t);
}

static void plan_json_chosen(struct json *j, const struct decant_plan *plan)
{
	json_member_string(j, "route", plan->route);
	json_member_u64(j, "copies", plan->copies);
	json_member_string(j, "guarantee", plan_guarantee(plan->guarantee));
	json_member_string(j, "snapshotted", plan->snapshotted);
	json_member_string(j, "delivered", plan->delivered);
	json_key(j, "bytes");
	if (plan->len == DECANT_TO_END)
		json_null(j);
	else
		json_u64(j, plan->len);
	json_member_u64(j, "time_ns", plan->time_ns);
	json_member_u64(j, "cpu_ns", plan->cpu_ns);
	json_member_string(j, "note", plan->note);
}

void plan_text_json(FILE *f, const struct plan_text *t)
{
	const struct decant_plan *plan = t->plan;
	struct json j = JSON_INIT;

	json_object(&j);
	json_member_string(&j, "from", t->from);
	json_member_string(&j, "to", t->to);
	if (!t->error)
		plan_json_chosen(&j, plan);
	json_line_error(&j, t->error, t->message);
	json_key(&j, "assumed");
	json_array(&j);
	if (t->from_assumed[0])
		json_string(&j, t->from_assumed);
	if (t->to_assumed[0])
		json_string(&j, t->to_assumed);
	json_end(&j);
	json_key(&j, "refused");
	json_array(&j);
	for (uint32_t i = 0; i < plan->refused_n && i < DECANT_ROUTES_MAX; i++) {
		json_object(&j);
		json_member_string(&j, "route", plan->refused[i].route);
		json_member_u64(&j, "copies", plan->refused[i].copies);
		json_member_string(&j, "guarantee", plan_guarantee(plan->refused[i].guarantee));
		json_member_string(&j, "why", plan->refused[i].why);
		json_end(&j);
	}
	json_end(&j);
	json_end(&j);
	json_line_print(f, &j);
}
