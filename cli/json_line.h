/* SPDX-License-Identifier: MIT */
/* What the commands' lines of JSON have in common.  Not what is in them: the reports. */
#ifndef CLI_JSON_LINE_H
#define CLI_JSON_LINE_H

#include <stdio.h>

#include "base/json.h"

/* "ENOSPC"; "" for 0. */
const char *json_line_error_name(int error);
/* The member "error": null, or its name and sentence. */
void json_line_error(struct json *j, int error, const char *message);
/* Prints what j holds, and frees it. */
void json_line_print(FILE *f, struct json *j);
/* Into ret, which keeps the first error. */
void json_line_append(struct buf *ret, struct json *j);

#endif
