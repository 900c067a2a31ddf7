/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "base/err.h"

/* A sentence that was cut says so. */
static int err_done(struct err *e, int code, size_t len)
{
	if (len >= sizeof(e->text))
		memcpy(e->text + sizeof(e->text) - 4, "...", 4);
	return code;
}

int err_setv(struct err *e, int code, const char *fmt, va_list ap)
{
	int n;

	if (!e)
		return code;
	n = vsnprintf(e->text, sizeof(e->text), fmt, ap);
	if (n < 0) {
		e->text[0] = '\0';
		return code;
	}
	return err_done(e, code, (size_t)n);
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)err_setv(e, code, fmt, ap);
	va_end(ap);
	return code;
}

static const char *err_words(int code)
{
	const char *words = strerrordesc_np(code < 0 ? -code : code);

	return words ? words : "Unknown error";
}

int err_errno(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;
	size_t len;
	int n;

	if (!e)
		return code;
	va_start(ap, fmt);
	(void)err_setv(e, code, fmt, ap);
	va_end(ap);
	len = strlen(e->text);
	n = snprintf(e->text + len, sizeof(e->text) - len, ": %s", err_words(code));
	return err_done(e, code, len + (size_t)n);
}

int err_wrap(struct err *e, int code, const char *fmt, ...)
{
	char inner[ERR_TEXT_MAX];
	va_list ap;
	size_t len;
	int n;

	if (!e)
		return code;
	memcpy(inner, e->text, sizeof(inner));
	va_start(ap, fmt);
	(void)err_setv(e, code, fmt, ap);
	va_end(ap);
	len = strlen(e->text);
	n = snprintf(e->text + len, sizeof(e->text) - len, ": %s", inner);
	return err_done(e, code, len + (size_t)n);
}
