/* SPDX-License-Identifier: MIT */
/*
 * The sentence for people that goes with a negative errno: "what: why".
 * Not a log: it holds one sentence, the last.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>

#define ERR_TEXT_MAX 168

struct err {
	char text[ERR_TEXT_MAX];
};

/*
 * Set the sentence and return code, so that callers can write
 *	return err_set(e, -EINVAL, "length: must not be 0");
 * e may be NULL.  err_errno() appends ": " and the errno's own words.
 */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int err_setv(struct err *e, int code, const char *fmt, va_list ap);
int err_errno(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Put "what: " in front of the sentence that is there. */
int err_wrap(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
