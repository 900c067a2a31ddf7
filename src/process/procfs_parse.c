/* SPDX-License-Identifier: MIT */
/* The texts of /proc/PID/status and /proc/PID/stat. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "process/procfs.h"

/* --------------------------------------------------------------- scanning */

static bool parse_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static unsigned parse_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 99;
}

/* Skips blanks, takes digits; false: none there, or they do not fit. */
static bool parse_number(const char **at, unsigned base, uint64_t *ret)
{
	const char *p = *at;
	uint64_t v = 0;

	while (parse_is_blank(*p))
		p++;
	if (parse_digit(*p) >= base)
		return false;
	for (; parse_digit(*p) < base; p++)
		if (__builtin_mul_overflow(v, base, &v) ||
		    __builtin_add_overflow(v, parse_digit(*p), &v))
			return false;
	*at = p;
	*ret = v;
	return true;
}

/* The same with a sign, within 32 bits. */
static bool parse_int(const char **at, int *ret)
{
	const char *p = *at;
	bool minus;
	uint64_t v;

	while (parse_is_blank(*p))
		p++;
	minus = *p == '-';
	p += minus;
	if (!parse_number(&p, 10, &v) || v > INT32_MAX)
		return false;
	*at = p;
	*ret = minus ? -(int)v : (int)v;
	return true;
}

/* ----------------------------------------------------------------- status */

enum field_kind { FIELD_INT, FIELD_UINT, FIELD_U64, FIELD_HEX, FIELD_FOUR };

#define FIELD(key, kind, member) \
	{ key, sizeof(key) - 1, kind, offsetof(struct proc_status, member) }

static const struct field {
	const char *key;
	size_t len;
	enum field_kind kind;
	size_t offset;
} fields[] = {
	FIELD("Tgid", FIELD_INT, tgid),
	FIELD("Pid", FIELD_INT, pid),
	FIELD("PPid", FIELD_INT, ppid),
	FIELD("TracerPid", FIELD_INT, tracer),
	FIELD("Uid", FIELD_FOUR, uid),
	FIELD("Gid", FIELD_FOUR, gid),
	FIELD("Threads", FIELD_UINT, threads),
	FIELD("Seccomp", FIELD_INT, seccomp),
	FIELD("SigPnd", FIELD_HEX, sig_pending),
	FIELD("ShdPnd", FIELD_HEX, sig_shared_pending),
	FIELD("SigBlk", FIELD_HEX, sig_blocked),
	FIELD("SigIgn", FIELD_HEX, sig_ignored),
	FIELD("SigCgt", FIELD_HEX, sig_caught),
	FIELD("CapPrm", FIELD_HEX, cap_permitted),
	FIELD("CapEff", FIELD_HEX, cap_effective),
	FIELD("VmRSS", FIELD_U64, vm_rss_kib),
	FIELD("VmSwap", FIELD_U64, vm_swap_kib),
	FIELD("VmPin", FIELD_U64, vm_pin_kib),
	FIELD("HugetlbPages", FIELD_U64, vm_hugetlb_kib),
};

static bool status_uint(const char **at, uint32_t *ret)
{
	uint64_t v;

	if (!parse_number(at, 10, &v) || v > UINT32_MAX)
		return false;
	*ret = (uint32_t)v;
	return true;
}

static bool status_field(const struct field *f, const char *at, struct proc_status *st)
{
	void *to = (char *)st + f->offset;
	unsigned i;

	switch (f->kind) {
	case FIELD_INT:
		return parse_int(&at, to);
	case FIELD_UINT:
		return status_uint(&at, to);
	case FIELD_U64:
		return parse_number(&at, 10, to);
	case FIELD_HEX:
		return parse_number(&at, 16, to);
	case FIELD_FOUR:
		for (i = 0; i < 4; i++)
			if (!status_uint(&at, (uint32_t *)to + i))
				return false;
		return true;
	}
	return false;
}

/* The kernel escapes newlines and backslashes here, and cuts nothing. */
static bool status_name(const char *at, const char *end, struct proc_status *st)
{
	size_t n = 0;

	for (; at < end; at++) {
		char c = *at;

		if (c == '\\' && at + 1 < end) {
			c = *++at;
			c = c == 'n' ? '\n' : c;
		}
		if (n + 1 < sizeof(st->name))
			st->name[n++] = c;
	}
	st->name[n] = '\0';
	return true;
}

/* The first is ours, the last the target's own. */
static bool status_ns_pids(const char *at, struct proc_status *st)
{
	st->ns_depth = 0;
	while (parse_int(&at, &st->ns_pid))
		st->ns_depth++;
	return st->ns_depth > 0;
}

/* The last of a line like that. */
static bool status_innermost(const char *at, pid_t *ret)
{
	bool any = false;

	while (parse_int(&at, ret))
		any = true;
	return any;
}

static bool status_word(const char *at, const char *end, const char *word)
{
	size_t len = strlen(word);

	for (; at < end; at++) {
		const char *from = at;

		while (at < end && !parse_is_blank(*at))
			at++;
		if ((size_t)(at - from) == len && memcmp(from, word, len) == 0)
			return true;
	}
	return false;
}

static bool status_is(const char *key, size_t len, const char *want)
{
	return strlen(want) == len && memcmp(key, want, len) == 0;
}

/* One line, "key:\tvalue", which ends at end. */
static bool status_line(const char *key, size_t len, const char *end, struct proc_status *st)
{
	const char *value = key + len + 1;
	size_t i;

	while (value < end && parse_is_blank(*value))
		value++;
	if (status_is(key, len, "Name"))
		return status_name(value, end, st);
	if (status_is(key, len, "State"))
		return value < end && (st->state = *value) != 0;
	if (status_is(key, len, "NSpid"))
		return status_ns_pids(value, st);
	if (status_is(key, len, "NSpgid"))
		return status_innermost(value, &st->ns_pgrp);
	if (status_is(key, len, "NSsid"))
		return status_innermost(value, &st->ns_sid);
	if (status_is(key, len, "VmSize"))
		return st->has_mm = true;
	if (status_is(key, len, "x86_Thread_features")) {
		st->shadow_stack = status_word(value, end, "shstk");
		return true;
	}
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (fields[i].len == len && memcmp(fields[i].key, key, len) == 0)
			return status_field(&fields[i], value, st);
	return true;
}

int procfs_parse_status(const char *text, struct proc_status *ret)
{
	struct proc_status st = { .seccomp = -1 };
	const char *line, *end, *colon;

	for (line = text; *line; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		colon = memchr(line, ':', (size_t)(end - line));
		if (!colon || !status_line(line, (size_t)(colon - line), end, &st))
			return -EBADMSG;
	}
	if (st.pid <= 0 || st.tgid <= 0 || !st.state)
		return -EBADMSG;
	if (st.ns_depth == 0) { /* before Linux 4.1 */
		st.ns_depth = 1;
		st.ns_pid = st.pid;
	}
	*ret = st;
	return 0;
}

/* ------------------------------------------------------------------- stat */

/* Fields as proc(5) counts them; those behind the name, "S" being 3. */
enum {
	STAT_PPID = 4,
	STAT_PGRP = 5,
	STAT_SESSION = 6,
	STAT_FLAGS = 9,
	STAT_UTIME = 14,
	STAT_STIME = 15,
	STAT_CUTIME = 16,
	STAT_CSTIME = 17,
	STAT_NICE = 19,
	STAT_START = 22,
	STAT_EXIT_SIGNAL = 38,
};

/* Any one may be negative, or as large as an unsigned long. */
static bool stat_number(const char **at, uint64_t *ret)
{
	const char *p = *at;
	uint64_t v;
	bool minus;

	while (parse_is_blank(*p))
		p++;
	minus = *p == '-';
	p += minus;
	if (!parse_number(&p, 10, &v))
		return false;
	*at = p;
	*ret = minus ? 0 - v : v;
	return true;
}

static void stat_keep(struct proc_stat *st, int field, uint64_t v)
{
	switch (field) {
	case STAT_PPID:
		st->ppid = (pid_t)v;
		break;
	case STAT_PGRP:
		st->pgrp = (pid_t)v;
		break;
	case STAT_SESSION:
		st->session = (pid_t)v;
		break;
	case STAT_FLAGS:
		st->flags = v;
		break;
	case STAT_UTIME:
		st->utime_ticks = v;
		break;
	case STAT_STIME:
		st->stime_ticks = v;
		break;
	case STAT_CUTIME:
		st->cutime_ticks = v;
		break;
	case STAT_CSTIME:
		st->cstime_ticks = v;
		break;
	case STAT_NICE:
		st->nice = (int)v;
		break;
	case STAT_START:
		st->start_ticks = v;
		break;
	case STAT_EXIT_SIGNAL:
		st->exit_signal = (int)v;
		break;
	}
}

/* The name may hold anything, blanks and brackets too, and is not escaped. */
int procfs_parse_stat(const char *text, struct proc_stat *ret)
{
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	struct proc_stat st = { .exit_signal = 0 };
	const char *at;
	uint64_t v;
	size_t n;
	int field;

	if (!open || !close || close <= open || close[1] != ' ' || !close[2])
		return -EBADMSG;
	n = (size_t)(close - open - 1);
	n = n < sizeof(st.comm) ? n : sizeof(st.comm) - 1;
	memcpy(st.comm, open + 1, n);
	st.state = close[2];
	at = close + 3;
	for (field = STAT_PPID; field <= STAT_EXIT_SIGNAL; field++) {
		if (!stat_number(&at, &v))
			return -EBADMSG;
		stat_keep(&st, field, v);
	}
	*ret = st;
	return 0;
}
