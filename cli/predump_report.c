/* SPDX-License-Identifier: MIT */
#include "predump_report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "cli.h"
#include "json_line.h"
#include "text.h"

#define PREDUMP_PAGE 4096u

void predump_result_fail(struct predump_result *r, int error, const char *message)
{
	if (r->error)
		return;
	r->error = error;
	r->status = CLI_FAILED;
	(void)snprintf(r->message, sizeof(r->message), "%s", message);
}

static void predump_print_image(FILE *f, const struct decant_predump_round *i)
{
	char new[TEXT_NUMBER_MAX], old[TEXT_NUMBER_MAX], took[TEXT_NUMBER_MAX];

	(void)fprintf(f, "  image %u: %s written, %s as in the one before; %s%s\n", i->image,
		      text_bytes(new, i->present_pages * PREDUMP_PAGE),
		      text_bytes(old, i->parent_pages * PREDUMP_PAGE),
		      text_duration(took, i->time_ns), i->final ? ", final" : "");
}

void predump_report_print(FILE *f, const struct predump_result *result,
			  const struct predump_options *o)
{
	const struct decant_predump_report *r = &result->report;
	char bytes[TEXT_NUMBER_MAX], took[TEXT_NUMBER_MAX], pause[TEXT_NUMBER_MAX];

	(void)fprintf(f, "%s", o->dir);
	if (r->numbered)
		(void)fprintf(f, "/%u", r->images);
	if (result->watched)
		(void)fprintf(f, ": image %u of process %d", r->images, (int)o->pid);
	else
		(void)fprintf(f, ": %u image%s of process %d", r->images,
			      r->images == 1 ? "" : "s", (int)o->pid);
	(void)fprintf(f, ", %s in %s; ", text_bytes(bytes, r->present_pages * PREDUMP_PAGE),
		      text_duration(took, r->total_ns));
	if (r->stops)
		(void)fprintf(f, "it stood still for %s", text_duration(pause, r->pause_ns));
	else
		(void)fprintf(f, "it was not stopped");
	(void)fprintf(f, "%s\n", o->final && o->leave ? ", and is stopped now" : "");
	for (size_t i = 0; i < result->images_n && o->verbose; i++)
		predump_print_image(f, &result->images[i]);
	if (o->verbose && r->mode[0])
		(void)fprintf(f, "  the last one by %s: %s\n", r->mode, r->mode_why);
	if (r->unreadable_bytes)
		(void)fprintf(f, "  %s could not be read and are missing\n",
			      text_bytes(bytes, r->unreadable_bytes));
}

static void predump_json_images(struct json *j, const struct predump_result *r)
{
	json_key(j, "chain");
	json_array(j);
	for (size_t i = 0; i < r->images_n; i++) {
		const struct decant_predump_round *v = &r->images[i];

		json_object(j);
		json_member_u64(j, "image", v->image);
		json_member_bool(j, "final", v->final);
		json_member_u64(j, "present_pages", v->present_pages);
		json_member_u64(j, "parent_pages", v->parent_pages);
		json_member_u64(j, "time_ns", v->time_ns);
		json_member_u64(j, "scan_ns", v->scan_ns);
		json_end(j);
	}
	json_end(j);
}

static void predump_json_report(struct json *j, const struct decant_predump_report *r)
{
	json_member_u64(j, "image_pid", r->pid);
	json_member_u64(j, "images", r->images);
	json_member_bool(j, "numbered", r->numbered);
	json_member_string(j, "tracking", r->tracking[0] ? r->tracking : NULL);
	json_member_string(j, "mode", r->mode[0] ? r->mode : NULL);
	json_member_string(j, "mode_why", r->mode_why[0] ? r->mode_why : NULL);
	json_member_u64(j, "processes", r->processes);
	json_member_bool(j, "frozen", r->frozen);
	json_member_u64(j, "threads", r->threads);
	json_member_u64(j, "mappings", r->mappings);
	json_member_u64(j, "stops", r->stops);
	json_member_u64(j, "pause_ns", r->pause_ns);
	json_member_u64(j, "pauses_ns", r->pauses_ns);
	json_member_u64(j, "total_ns", r->total_ns);
	json_member_u64(j, "cpu_ns", r->cpu_ns);
	json_member_u64(j, "present_pages", r->present_pages);
	json_member_u64(j, "last_pages", r->last_pages);
	json_member_u64(j, "parent_pages", r->parent_pages);
	json_member_u64(j, "copied_bytes", r->copied_bytes);
	json_member_u64(j, "residue_bytes", r->residue_bytes);
	json_member_u64(j, "unreadable_bytes", r->unreadable_bytes);
}

void predump_report_json(FILE *f, const struct predump_result *r, const struct predump_options *o)
{
	struct json j = JSON_INIT;

	json_object(&j);
	json_member_i64(&j, "status", r->status);
	json_member_i64(&j, "pid", o->pid);
	json_member_string(&j, "dir", o->dir);
	predump_json_report(&j, &r->report);
	predump_json_images(&j, r);
	json_line_error(&j, r->error, r->message);
	json_end(&j);
	json_line_print(f, &j);
}

/* Where it means something else than for a copy. */
static const char *predump_advice(int error, const struct predump_options *o)
{
	switch (error) {
	case -EEXIST:
		return o->clean ? "images that are complete are not touched: take another DIR" :
				  "take another DIR, with --parent for what this one has; "
				  "--clean only removes what a killed run left";
	case -EBUSY:
		return "one at a time: another decant, or a debugger, is at it";
	case -EAGAIN:
		return "try again in a moment";
	case -ETIME:
		return "--timeout allows more; the images that are complete stay";
	/* These sentences say themselves what can be done. */
	case -EPERM:
	case -ENOTSUP:
	case -ESTALE:
	case -EMLINK:
	case -ESRCH:
	case -EINVAL:
	case -ECANCELED:
		return NULL;
	default:
		return cli_advice(error);
	}
}

void predump_report_failure(const struct predump_result *r, const struct predump_options *o)
{
	if (!r->error)
		return;
	cli_error("%s", r->message);
	if (r->status == CLI_FAILED)
		cli_hint(predump_advice(r->error, o));
}
