/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "guess.h"
#include "text.h"

#define OPTIONS_NS_PER_MS 1000000u
#define OPTIONS_HELP_COLUMN_MAX 26
#define OPTIONS_HELP_WIDTH 80

const char *const option_tracks[] = { "auto", "wp", "soft-dirty", NULL };

static int option_choice(const struct option_row *row, const char *arg, uint32_t *ret,
			 struct err *e)
{
	char all[96] = "";
	size_t len = 0;

	for (uint32_t i = 0; row->choices[i]; i++) {
		if (strcmp(arg, row->choices[i]) == 0) {
			*ret = i;
			return 0;
		}
		len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%s", i ? ", " : "",
					row->choices[i]);
		if (len >= sizeof(all))
			break;
	}
	return err_set(e, -EINVAL, "\"%.40s\": is none of %s", arg, all);
}

static int option_mode(const char *arg, uint32_t *ret, struct err *e)
{
	uint32_t mode = 0;

	if (strcmp(arg, "keep") == 0) {
		*ret = OPTION_MODE_KEEP;
		return 0;
	}
	if (!arg[0] || strlen(arg) > 4 || strspn(arg, "01234567") != strlen(arg))
		return err_set(e, -EINVAL, "\"%.40s\": is neither keep nor octal permissions such "
			       "as 640", arg);
	for (const char *p = arg; *p; p++)
		mode = mode * 8 + (uint32_t)(*p - '0');
	if (mode > 0777)
		return err_set(e, -EINVAL, "\"%.40s\": only the permission bits, up to 777, can be "
			       "set", arg);
	*ret = mode;
	return 0;
}

static int option_duration(const char *arg, uint32_t *ret, struct err *e)
{
	uint64_t ns, ms;
	int r = parse_duration(arg, &ns, e);

	if (r < 0)
		return r;
	ms = ns / OPTIONS_NS_PER_MS + (ns % OPTIONS_NS_PER_MS != 0);
	if (ms == 0)
		return err_set(e, -ERANGE, "\"%.40s\": must be more than 0", arg);
	if (ms > INT32_MAX)
		return err_set(e, -ERANGE, "\"%.40s\": the duration is too large", arg);
	*ret = (uint32_t)ms;
	return 0;
}

/* "5" is 5 s elsewhere: too long a pause for one who meant ms. */
static int option_time(const struct option_row *row, const char *arg, uint64_t *ret,
		       struct err *e)
{
	uint64_t ns;
	int r = parse_duration(arg, &ns, e);

	if (r < 0)
		return r;
	if (row->type == OPTION_PAUSE && ns && strspn(arg, "0123456789.") == strlen(arg))
		return err_set(e, -EINVAL, "\"%.40s\": needs a unit: %.20sms, or %.20ss", arg, arg,
			       arg);
	if (ns == 0)
		return err_set(e, -ERANGE, "\"%.40s\": must be more than 0", arg);
	*ret = ns;
	return 0;
}

/* As numbers in C, but no octal ones: the kernel shows masks with zeros in front. */
static int option_bits(const char *arg, uint32_t *ret, struct err *e)
{
	bool hex = arg[0] == '0' && (arg[1] == 'x' || arg[1] == 'X');
	const char *digits = hex ? arg + 2 : arg;
	size_t len = strspn(digits, hex ? "0123456789abcdefABCDEF" : "0123456789");
	unsigned long long v;

	if (len == 0 || len > 10 || digits[len] || (!hex && len > 1 && digits[0] == '0'))
		return err_set(e, -EINVAL, "\"%.40s\": is no mask such as 0x33", arg);
	v = strtoull(digits, NULL, hex ? 16 : 10);
	if (v > UINT32_MAX)
		return err_set(e, -ERANGE, "\"%.40s\": the mask is too large", arg);
	*ret = (uint32_t)v;
	return 0;
}

static int option_size(const struct option_row *row, const char *arg, uint64_t *ret,
		       struct err *e)
{
	uint64_t v;
	int r = parse_size(arg, &v, e);

	if (r < 0)
		return r;
	if (row->type == OPTION_RATE && v == 0)
		return err_set(e, -ERANGE, "\"%.40s\": must be more than 0", arg);
	/* UINT64_MAX means "not said"; file offsets end at INT64_MAX anyway. */
	if (v > INT64_MAX)
		return err_set(e, -ERANGE, "\"%.40s\": the size is too large", arg);
	*ret = v;
	return 0;
}

static int option_number(const char *arg, uint64_t min, uint64_t max, uint64_t *ret,
			 struct err *e)
{
	return parse_u64(arg, min, max, ret, e);
}

/* arg: NULL where an optional argument is absent. */
static int option_set(const struct option_row *row, const char *arg, void *target, struct err *e)
{
	char *field = (char *)target + row->field;
	uint64_t number;
	int r;

	switch (row->type) {
	case OPTION_FLAG:
		*(bool *)field = true;
		return 0;
	case OPTION_TEXT:
		*(const char **)field = arg;
		return arg[0] ? 0 : err_set(e, -EINVAL, "is empty");
	case OPTION_SIZE:
	case OPTION_RATE:
		return option_size(row, arg, (uint64_t *)field, e);
	case OPTION_DURATION:
		return option_duration(arg, (uint32_t *)field, e);
	case OPTION_TIME:
	case OPTION_PAUSE:
		return option_time(row, arg, (uint64_t *)field, e);
	case OPTION_BITS:
		return option_bits(arg, (uint32_t *)field, e);
	case OPTION_MODE:
		return option_mode(arg, (uint32_t *)field, e);
	case OPTION_NUMBER:
		r = option_number(arg, 1, row->fallback ? row->fallback : UINT32_MAX, &number, e);
		if (r == 0)
			*(uint32_t *)field = (uint32_t)number;
		return r;
	case OPTION_FD:
		if (!arg) {
			*(int *)field = OPTION_FD_NONE;
			return 0;
		}
		r = option_number(arg, 0, INT32_MAX, &number, e);
		if (r == 0)
			*(int *)field = (int)number;
		return r;
	case OPTION_CHOICE:
		if (!arg) {
			*(uint32_t *)field = row->fallback;
			return 0;
		}
		return option_choice(row, arg, (uint32_t *)field, e);
	}
	return -EINVAL;
}

struct options_walk {
	const struct option_row *rows;
	size_t rows_n;
	int argc, next;   /* next: index of the argument after the one at hand */
	char *const *argv;
	void *target;
	const struct option_row *bare; /* the last one that may have a value, and had none */
};

static int options_too_many(const struct options_walk *w, const char *arg, struct err *e)
{
	if (w->bare)
		return err_set(e, -EINVAL, "%.60s: one word too many (a value of --%s is written "
			       "--%s=%s)", arg, w->bare->name, w->bare->name, w->bare->arg);
	return err_set(e, -EINVAL, "%.60s: one word too many", arg);
}

static int options_unknown(const struct options_walk *w, const char *name, size_t len,
			   struct err *e)
{
	struct guess g = GUESS_INIT(name, len);

	for (size_t i = 0; i < w->rows_n; i++)
		guess_try(&g, w->rows[i].name);
	return err_set(e, -EINVAL, "--%.*s: no such option%s%s%s", (int)(len > 40 ? 40 : len), name,
		       g.best ? "; did you mean --" : "", g.best ? g.best : "", g.best ? "?" : "");
}

/* "--name", "--name=arg", "--name arg". */
static int options_long(struct options_walk *w, const char *arg, struct err *e)
{
	const char *name = arg + 2, *equals = strchr(name, '=');
	size_t len = equals ? (size_t)(equals - name) : strlen(name);
	const struct option_row *row = NULL;
	const char *value = equals ? equals + 1 : NULL;
	int r;

	for (size_t i = 0; i < w->rows_n && !row; i++)
		if (strlen(w->rows[i].name) == len && memcmp(w->rows[i].name, name, len) == 0)
			row = &w->rows[i];
	if (!row)
		return options_unknown(w, name, len, e);
	if (value && !row->arg)
		return err_set(e, -EINVAL, "--%s: takes no argument", row->name);
	if (!value && row->arg && !row->optional) {
		if (w->next >= w->argc)
			return err_set(e, -EINVAL, "--%s: %s is missing", row->name, row->arg);
		value = w->argv[w->next++];
	}
	if (!value && row->optional)
		w->bare = row;
	r = option_set(row, value, w->target, e);
	return r < 0 ? err_wrap(e, -EINVAL, "--%s", row->name) : 0;
}

/* "-f", "-fq", "-n5", "-n 5". */
static int options_short(struct options_walk *w, const char *arg, struct err *e)
{
	const struct option_row *before = NULL; /* may have a value, and had none */

	for (const char *p = arg + 1; *p; p++) {
		const struct option_row *row = NULL;
		const char *value = NULL;

		for (size_t i = 0; i < w->rows_n && !row; i++)
			if (w->rows[i].letter == *p)
				row = &w->rows[i];
		if (!row && *p == '=' && before)
			return err_set(e, -EINVAL, "-%c: a value needs the long name: --%s%.40s",
				       before->letter, before->name, p);
		if (!row)
			return err_set(e, -EINVAL, "-%c: no such option", *p);
		before = row->optional ? row : NULL;
		if (row->arg && !row->optional) {
			if (p[1])
				value = p + 1;
			else if (w->next < w->argc)
				value = w->argv[w->next++];
			else
				return err_set(e, -EINVAL, "-%c: %s is missing", *p, row->arg);
		}
		if (option_set(row, value, w->target, e) < 0)
			return err_wrap(e, -EINVAL, "-%c", *p);
		if (value)
			break;
	}
	return 0;
}

int options_parse(const struct option_row *rows, size_t rows_n, int argc, char *const *argv,
		  void *target, const char **operands, int operands_max, struct err *reterr)
{
	struct options_walk w = {
		.rows = rows, .rows_n = rows_n, .argc = argc, .argv = argv, .next = 1,
		.target = target,
	};
	bool only_operands = false;
	int operands_n = 0, r;

	while (w.next < argc) {
		const char *arg = argv[w.next++];

		if (!only_operands && strcmp(arg, "--") == 0) {
			only_operands = true;
			continue;
		}
		if (only_operands || arg[0] != '-' || arg[1] == '\0') {
			if (operands_n == operands_max)
				return options_too_many(&w, arg, reterr);
			operands[operands_n++] = arg;
			continue;
		}
		r = arg[1] == '-' ? options_long(&w, arg, reterr) : options_short(&w, arg, reterr);
		if (r < 0)
			return r;
	}
	return operands_n;
}

int options_pid(const char *operand, pid_t *ret, struct err *reterr)
{
	uint64_t number;

	if (!operand)
		return err_set(reterr, -EINVAL, "PID is missing");
	if (parse_u64(operand, 1, INT32_MAX, &number, reterr) < 0) {
		if (operand[strspn(operand, "0123456789")] == '\0')
			return err_wrap(reterr, -EINVAL, "PID");
		return err_set(reterr, -EINVAL, "PID: \"%.40s\": is not a whole number; pidof(8) "
			       "finds that of a program", operand);
	}
	*ret = (pid_t)number;
	return 0;
}

/* "  -f, --force", "      --checksum[=KIND]"; returns its columns. */
static unsigned options_label(char *buf, size_t size, const struct option_row *row)
{
	const char *join = row->optional ? "[=" : " ";
	char letter[8] = "    ";
	int n;

	if (row->letter)
		(void)snprintf(letter, sizeof(letter), "-%c, ", row->letter);
	n = snprintf(buf, size, "  %s--%s%s%s%s", letter, row->name, row->arg ? join : "",
		     row->arg ? row->arg : "", row->optional ? "]" : "");
	return (unsigned)n;
}

void options_help(FILE *f, const struct option_row *rows, size_t rows_n)
{
	unsigned column = 0, width = text_width(f);
	char label[64];

	for (size_t i = 0; i < rows_n; i++) {
		unsigned n = options_label(label, sizeof(label), &rows[i]) + 2;

		if (n > column && n <= OPTIONS_HELP_COLUMN_MAX + 2)
			column = n;
	}
	width = width ? width : OPTIONS_HELP_WIDTH;
	for (size_t i = 0; i < rows_n; i++) {
		unsigned n = options_label(label, sizeof(label), &rows[i]);

		if (n + 2 <= column)
			(void)fprintf(f, "%-*s", (int)column, label);
		else
			(void)fprintf(f, "%s\n%*s", label, (int)column, "");
		text_wrap(f, rows[i].help, column, column, width);
		(void)fputc('\n', f);
	}
}
