/* SPDX-License-Identifier: MIT */
#include "serve/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "serve/date.h"

#define LOG_ERROR_BYTES 128

/* In quotes; what could end them, or a line, is escaped as nginx does it. */
static void log_quoted(struct buf *b, struct span s)
{
	static const char digits[] = "0123456789ABCDEF";

	if (!s.s) {
		buf_puts(b, "\"-\"");
		return;
	}
	buf_putc(b, '"');
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.s[i];

		if (c >= ' ' && c < 127 && c != '"' && c != '\\') {
			buf_putc(b, (char)c);
			continue;
		}
		buf_puts(b, "\\x");
		buf_putc(b, digits[c >> 4]);
		buf_putc(b, digits[c & 15]);
	}
	buf_putc(b, '"');
}

/* "byte 4096: Input/output error" */
static void log_error(const struct log_entry *e, char *ret, size_t size)
{
	const char *words = e->error == -ENODATA ? "the file ended" : strerrordesc_np(-e->error);

	(void)snprintf(ret, size, "byte %llu: %s", (unsigned long long)e->error_at,
		       words ? words : "an error");
}

void log_common(struct buf *b, const struct log_entry *e)
{
	char error[LOG_ERROR_BYTES];
	struct date d;

	date_split(e->time_ns / 1000000000, &d);
	buf_printf(b, "%s - - [%02u/%s/%04lld:%02u:%02u:%02u +0000] ", e->address, d.day,
		   date_months[d.month - 1], (long long)d.year, d.hour, d.minute, d.second);
	log_quoted(b, e->line);
	buf_printf(b, " %u %llu ", e->status, (unsigned long long)e->sent);
	log_quoted(b, e->referer);
	buf_putc(b, ' ');
	log_quoted(b, e->user_agent);
	if (e->error) {
		log_error(e, error, sizeof(error));
		buf_putc(b, ' ');
		log_quoted(b, SPAN(error));
	}
	buf_putc(b, '\n');
}

static void log_member(struct json *j, const char *key, struct span s)
{
	if (!s.s)
		return;
	json_key(j, key);
	json_string_n(j, s.s, s.len);
}

void log_json(struct buf *b, const struct log_entry *e)
{
	struct json j = JSON_INIT;
	char time[40], error[LOG_ERROR_BYTES];
	struct date d;

	date_split(e->time_ns / 1000000000, &d);
	(void)snprintf(time, sizeof(time), "%04lld-%02u-%02uT%02u:%02u:%02u.%03uZ",
		       (long long)d.year, d.month, d.day, d.hour, d.minute, d.second,
		       (unsigned)(e->time_ns / 1000000 % 1000));
	json_object(&j);
	json_member_string(&j, "time", time);
	json_member_string(&j, "address", e->address);
	json_member_u64(&j, "port", e->port);
	log_member(&j, "request", e->line);
	json_member_u64(&j, "status", e->status);
	json_member_u64(&j, "bytes", e->sent);
	json_member_double(&j, "seconds", (double)e->took_ns / 1e9);
	if (e->cut)
		json_member_bool(&j, "cut", true);
	if (e->error) {
		log_error(e, error, sizeof(error));
		json_member_string(&j, "error", error);
	}
	log_member(&j, "referer", e->referer);
	log_member(&j, "user_agent", e->user_agent);
	json_end(&j);
	if (j.buf.error == 0)
		buf_append(b, buf_str(&j.buf), j.buf.len);
	buf_putc(b, '\n');
	json_free(&j);
}
