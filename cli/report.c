/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "cli.h"
#include "digest.h"
#include "events.h"
#include "json_line.h"
#include "text.h"

void report_event(struct report *r, const struct decant_event *event)
{
	switch (event->type) {
	case DECANT_SNAPSHOTTED:
		r->snapshotted_ns = event->time_ns;
		r->snapshotted_flags = event->flags;
		break;
	case DECANT_DELIVERED:
		r->delivered_ns = event->time_ns;
		r->delivered_flags = event->flags;
		break;
	case DECANT_ENDED:
		r->ended_ns = event->time_ns;
		r->end = *event;
		if (event->error)
			report_fail(r, event->error, event->message);
		break;
	default:
		break;
	}
}

void report_fail(struct report *r, int error, const char *message)
{
	if (r->error)
		return;
	r->error = error;
	r->status = CLI_FAILED;
	if (message[0])
		(void)snprintf(r->message, sizeof(r->message), "%s", message);
	else
		(void)snprintf(r->message, sizeof(r->message), "copy: %s", strerror(-error));
}

static double report_seconds(const struct report *r, uint64_t at_ns)
{
	return at_ns > r->start_ns ? (double)(at_ns - r->start_ns) / 1e9 : 0;
}

/* {"seconds":0.5,"certain":true}, or null. */
static void report_json_moments(struct json *j, const struct report *r)
{
	json_key(j, "snapshotted");
	if (r->snapshotted_ns) {
		json_object(j);
		json_member_double(j, "seconds", report_seconds(r, r->snapshotted_ns));
		json_member_bool(j, "certain", !(r->snapshotted_flags & DECANT_NOT_CERTAIN));
		json_end(j);
	} else {
		json_null(j);
	}
	json_key(j, "delivered");
	if (r->delivered_ns) {
		json_object(j);
		json_member_double(j, "seconds", report_seconds(r, r->delivered_ns));
		json_member_string(j, "means", events_delivered_name(r->delivered_flags));
		json_end(j);
	} else {
		json_null(j);
	}
}

static void report_json_outcome(struct json *j, const struct report *r)
{
	char hex[DIGEST_TEXT_MAX];

	json_key(j, "checksum");
	if (r->end.checksum) {
		json_object(j);
		json_member_string(j, "kind", digest_name(r->end.checksum));
		json_member_string(j, "digest",
				   digest_text(r->end.checksum, r->end.digest, hex));
		json_end(j);
	} else {
		json_null(j);
	}
	json_line_error(j, r->error, r->message);
	json_member_string(j, "partial", r->partial);
	json_member_string(j, "listening", r->listening);
}

void report_json(FILE *f, const struct report *r, const struct copy_options *o)
{
	struct json j = JSON_INIT;

	json_object(&j);
	json_member_i64(&j, "status", r->status);
	json_member_string(&j, "from", o->from.text);
	json_member_string(&j, "to", o->to.text);
	json_member_string(&j, "route", r->end.route[0] ? r->end.route : NULL);
	json_member_string(&j, "guarantee", r->guarantee == DECANT_LIVE ? "live" : "stable");
	json_member_u64(&j, "bytes", r->end.bytes);
	json_member_u64(&j, "arrived_bytes", r->end.arrived_bytes);
	json_key(&j, "promised");
	if (r->promised == DECANT_TO_END)
		json_null(&j);
	else
		json_u64(&j, r->promised);
	json_member_u64(&j, "offset", r->end.offset);
	json_member_double(&j, "seconds", report_seconds(r, r->ended_ns));
	json_member_u64(&j, "copied_bytes", r->end.copied_bytes);
	json_member_u64(&j, "cpu_copies_bytes", r->end.cpu_copies);
	json_member_bool(&j, "kernel_copied", r->end.flags & DECANT_COPIED);
	report_json_moments(&j, r);
	report_json_outcome(&j, r);
	json_end(&j);
	json_line_print(f, &j);
}

void report_failure(const struct report *r)
{
	if (!r->error)
		return;
	cli_error("%s", r->message);
	if (r->submitted && r->promised != DECANT_TO_END)
		(void)fprintf(stderr, "  %" PRIu64 " of %" PRIu64 " bytes arrived; the source "
			      "stands at offset %" PRIu64 "\n", r->end.arrived_bytes, r->promised,
			      r->end.offset);
	else if (r->submitted)
		(void)fprintf(stderr, "  %" PRIu64 " bytes arrived; the source stands at offset %"
			      PRIu64 "\n", r->end.arrived_bytes, r->end.offset);
	if (r->partial)
		(void)fprintf(stderr, "  what arrived was kept as %s\n", r->partial);
	cli_hint(r->hint ? r->hint : cli_advice(r->error));
}

void report_summary(FILE *f, const struct report *r)
{
	char bytes[TEXT_NUMBER_MAX], rate[TEXT_NUMBER_MAX], took[TEXT_NUMBER_MAX];
	const char *means = events_delivered_name(r->delivered_flags);
	uint64_t took_ns = r->ended_ns > r->start_ns ? r->ended_ns - r->start_ns : 1;
	double per_second = (double)r->end.bytes * 1e9 / (double)took_ns;
	double copies = r->end.bytes ? (double)r->end.cpu_copies / (double)r->end.bytes : 0;

	if (r->snapshotted_ns)
		(void)fprintf(f, "snapshotted after %s%s\n",
			      text_duration(took, r->snapshotted_ns - r->start_ns),
			      r->snapshotted_flags & DECANT_NOT_CERTAIN ? " (not certain)" : "");
	if (r->delivered_ns)
		(void)fprintf(f, "delivered after %s (%s)\n",
			      text_duration(took, r->delivered_ns - r->start_ns),
			      means ? means : "received");
	(void)fprintf(f, "%s in %s, %s/s, by %s with %.1f CPU copies%s\n",
		      text_bytes(bytes, r->end.bytes), text_duration(took, took_ns),
		      text_bytes(rate, (uint64_t)per_second), r->end.route, copies,
		      r->end.flags & DECANT_COPIED ? " (the kernel copied)" : "");
}
