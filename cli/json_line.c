/* SPDX-License-Identifier: MIT */
#include "json_line.h"

#include <errno.h>
#include <string.h>

const char *json_line_error_name(int error)
{
	const char *name;

	if (error == 0)
		return "";
	/* One number has two names here; <decant.h> says this one. */
	if (error == -ENOTSUP)
		return "ENOTSUP";
	name = strerrorname_np(error < 0 ? -error : error);
	return name ? name : "unknown";
}

void json_line_error(struct json *j, int error, const char *message)
{
	json_key(j, "error");
	if (!error) {
		json_null(j);
		return;
	}
	json_object(j);
	json_member_string(j, "code", json_line_error_name(error));
	json_member_string(j, "message", message);
	json_end(j);
}

void json_line_print(FILE *f, struct json *j)
{
	(void)fprintf(f, "%s\n", buf_str(&j->buf));
	json_free(j);
}

void json_line_append(struct buf *ret, struct json *j)
{
	buf_append(ret, j->buf.data, j->buf.len);
	buf_putc(ret, '\n');
	if (j->buf.error && !ret->error)
		ret->error = j->buf.error;
	json_free(j);
}
