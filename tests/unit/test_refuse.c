/* SPDX-License-Identifier: MIT */
/* process/refuse: what is found out, and the sentence that comes of it. */
#include <linux/capability.h>
#include <linux/sched.h>
#include <sys/syscall.h>

#include "lib/kit.h"
#include "process/refuse.h"
#include "tap.h"

static void says(const struct err *e, const char *words)
{
	char text[200], *state = NULL;

	snprintf(text, sizeof(text), "%s", words);
	ok(strlen(e->text) < ERR_TEXT_MAX - 1, "not cut: %s", e->text);
	for (char *w = strtok_r(text, "|", &state); w; w = strtok_r(NULL, "|", &state))
		ok(strstr(e->text, w), "\"%s\" is in: %s", w, e->text);
}

static void test_state(void)
{
	static const struct {
		char state;
		unsigned threads;
		bool has_mm;
		uint64_t flags;
		int want;
		const char *words;
	} rows[] = {
		{ 'S', 1, true, 0, 0, NULL },
		{ 'T', 5, true, 0, 0, NULL },
		{ 'Z', 1, false, 0, -ESRCH, "PID 4194303: |exited|zombie|4194302" },
		{ 'X', 1, false, 0, -ESRCH, "exited" },
		{ 'Z', 2, false, 0, 0, NULL },       /* a dead leader */
		{ 'R', 1, false, 0, -ESRCH, "exiting" },
		{ 'R', 2, false, 0, 0, NULL },       /* a leader that is about to be dead */
		{ 'I', 1, false, REFUSE_KTHREAD, -ESRCH, "kernel thread" },
		{ 'S', 1, true, REFUSE_KTHREAD, 0, NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct proc_status st = {
			.pid = 4194303, .ppid = 4194302, .state = rows[i].state,
			.threads = rows[i].threads, .has_mm = rows[i].has_mm,
		};
		struct proc_stat stat = { .flags = rows[i].flags };
		struct err e = { "" };

		is_int(refuse_state(&st, &stat, &e), rows[i].want, "row %zu", i);
		if (rows[i].words)
			says(&e, rows[i].words);
	}
}

#define PTRACE_CAP (1ull << CAP_SYS_PTRACE)

static void test_access(void)
{
	static const struct {
		uid_t our_uid, uid;
		gid_t our_gid, gid;
		uint64_t our_caps, caps;
		bool not_dumpable;
		int yama;
		const char *words;
	} rows[] = {
		{ 0, 0, 0, 0, PTRACE_CAP, 0, false, 3, "until the next boot|ptrace_scope is 3" },
		{ 0, 0, 0, 0, PTRACE_CAP, 0, false, 0, "in spite of CAP_SYS_PTRACE" },
		{ 1000, 4294967293u, 5, 5, 0, 0, false, 1,
		  "user 4294967293 and we are 1000|CAP_SYS_PTRACE" },
		{ 1000, 1000, 5, 4294967293u, 0, 0, false, 1, "group 4294967293 and we are 5" },
		{ 1000, 1000, 5, 5, 2, 6, false, 1, "capabilities that we lack" },
		{ 1000, 1000, 5, 5, 2, 2, true, 1, "not dumpable|CAP_SYS_PTRACE" },
		{ 1000, 1000, 5, 5, 2, 2, false, 1,
		  "ptrace_scope is 1|CAP_SYS_PTRACE|sysctl kernel.yama.ptrace_scope=0" },
		{ 1000, 1000, 5, 5, 2, 2, false, 2, "ptrace_scope is 2|CAP_SYS_PTRACE" },
		{ 1000, 1000, 5, 5, 2, 2, false, 0, "security module" },
		{ 1000, 1000, 5, 5, 2, 2, false, -1, "security module" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct proc_status us = {
			.uid = { 7, 7, 7, rows[i].our_uid }, .gid = { 7, 7, 7, rows[i].our_gid },
			.cap_effective = rows[i].our_caps, .cap_permitted = rows[i].our_caps,
		};
		struct proc_status it = {
			.pid = 4194303, .cap_permitted = rows[i].caps,
			.uid = { rows[i].uid, rows[i].uid, rows[i].uid, 8 },
			.gid = { rows[i].gid, rows[i].gid, rows[i].gid, 8 },
		};
		struct refuse_access a = {
			.self = &us, .target = &it, .not_dumpable = rows[i].not_dumpable,
			.yama_scope = rows[i].yama,
		};
		struct err e = { "" };

		is_int(refuse_access(&a, &e), -EPERM, "row %zu", i);
		says(&e, rows[i].words);
		says(&e, "PID 4194303: ");
	}
}

static void test_traced(void)
{
	struct err e = { "" };
	char name[64];

	is_int(refuse_traced(1, 2, "gdb", &e), -EBUSY, "by name");
	is_str(e.text, "PID 1: is traced already, by process 2 (gdb)", "says so");
	is_int(refuse_traced(1, 2, NULL, &e), -EBUSY, "by somebody");
	is_str(e.text, "PID 1: is traced already, by process 2", "says so");
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	refuse_traced(4194303, 4194303, name, &e);
	says(&e, "nnn)");
}

static void test_auxv(void)
{
	static const uint64_t wide[] = { 33, 0x7ffe00000000, 51, 3632, 16, 0x178bfbff, 6, 4096,
					 17, 100, 3, 0x400040, 4, 56, 5, 11, 0, 0 };
	static const uint32_t narrow[] = { 32, 0xf7f1f550, 33, 0xf7f1f000, 16, 0x178bfbff, 6, 4096,
					   17, 100, 3, 0x8048034, 4, 32, 5, 9, 0, 0 };
	static const uint64_t none[] = { 33, 1, 0, 0, 4, 56 };
	static const uint32_t low[] = { 33, 0, 5, 0, 4, 32, 0, 0 };
	unsigned char noise[256];

	is_int(refuse_auxv_bits(wide, sizeof(wide)), 64, "64");
	is_int(refuse_auxv_bits(narrow, sizeof(narrow)), 32, "32");
	is_int(refuse_auxv_bits(low, sizeof(low)), 32, "32 with zeros in it");
	is_int(refuse_auxv_bits(none, sizeof(none)), 0, "ended before it is told");
	is_int(refuse_auxv_bits(wide, 40), 0, "cut");
	is_int(refuse_auxv_bits(wide, 0), 0, "empty");
	for (int i = 0; i < 100000; i++) {
		for (size_t k = 0; k < sizeof(noise); k += 8)
			*(uint64_t *)(noise + k) = kit_random() & (kit_random() % 2 ? 0x3f : ~0ull);
		(void)refuse_auxv_bits(noise, kit_random() % sizeof(noise));
	}
}

static void vfork_is(bool want, uint64_t want_at, const char *fmt, long nr)
{
	char text[200];
	uint64_t at = 99;

	snprintf(text, sizeof(text), fmt, nr);
	is_int(refuse_is_vfork(text, &at), want, "%s", text);
	is_int(at, want_at, "where to look");
}

static void test_vfork(void)
{
#ifdef SYS_vfork
	vfork_is(true, 0, "%ld 0x0 0x0 0x0 0x0 0x0 0x0 0x7ffd 0x7f00\n", SYS_vfork);
#endif
	vfork_is(true, 0, "%ld 0x4111 0x0 0x0\n", SYS_clone);
	vfork_is(false, 0, "%ld 0x3d0f00 0x0 0x0\n", SYS_clone);
	vfork_is(false, 0x7ffe1230, "%ld 0x7ffe1230 0x58 0x0\n", SYS_clone3);
	vfork_is(false, 0, "%ld 0x4000 0x4000 0x0\n", SYS_read);
	vfork_is(false, 0, "running\n", 0);
	vfork_is(false, 0, "-1 0x7ffd 0x7f00\n", 0);
	vfork_is(false, 0, "", 0);
	is_int(CLONE_VFORK, 0x4000, "the flag");
}

int main(void)
{
	kit_start(60);
	tap_case("state", test_state);
	tap_case("access", test_access);
	tap_case("traced", test_traced);
	tap_case("32 or 64 bits", test_auxv);
	tap_case("vfork", test_vfork);
	return done();
}
