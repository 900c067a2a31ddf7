/* SPDX-License-Identifier: MIT */
/*
 * Writes one JSON text after the other into a growing string.
 * Not a parser, and not a printer: the caller writes json.buf out.
 *
 *	struct json j = JSON_INIT;
 *	json_object(&j);
 *	json_member_string(&j, "route", name);
 *	json_key(&j, "refused");
 *	json_array(&j);
 *	...
 *	json_end(&j);
 *	json_end(&j);
 *
 * Strings that are not UTF-8 (paths) get U+FFFD for what is wrong in them.
 * The output is one line without blanks; commas and quotes are the writer's.
 * Memory errors stick in j.buf.error.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define JSON_DEPTH_MAX 32

struct json {
	struct buf buf;
	unsigned depth;
	bool after_key;             /* a value comes next, without a comma */
	struct {
		bool object, used;
	} level[JSON_DEPTH_MAX];
};

#define JSON_INIT { .depth = 0 }

void json_free(struct json *j);
void json_object(struct json *j);
void json_array(struct json *j);
/* Ends the innermost object or array. */
void json_end(struct json *j);
void json_key(struct json *j, const char *key);
/* NULL is null. */
void json_string(struct json *j, const char *s);
void json_string_n(struct json *j, const char *s, size_t len_bytes);
void json_u64(struct json *j, uint64_t v);
void json_i64(struct json *j, int64_t v);
/* Not a finite number: null. */
void json_double(struct json *j, double v);
void json_bool(struct json *j, bool v);
void json_null(struct json *j);

void json_member_string(struct json *j, const char *key, const char *s);
void json_member_u64(struct json *j, const char *key, uint64_t v);
void json_member_i64(struct json *j, const char *key, int64_t v);
void json_member_double(struct json *j, const char *key, double v);
void json_member_bool(struct json *j, const char *key, bool v);

#endif
