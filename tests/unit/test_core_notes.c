/* SPDX-License-Identifier: MIT */
/* image/notes: order, names, sizes and bytes, from data made by hand. */
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/procfs.h>

#include "image/core.h"
#include "sys/fault.h"
#include "tap.h"

#define NOTES_MAX 32
/* In the vector state: which features it holds. */
#define FEATURES 464

struct note {
	char name[16];
	uint32_t type, len;
	const unsigned char *data;
};

static struct note found[NOTES_MAX];
static unsigned found_n;
static struct buf notes;

static uint32_t word(size_t at)
{
	uint32_t v;

	memcpy(&v, notes.data + at, sizeof(v));
	return v;
}

/* As every reader does it: header, name, contents, each padded to 4 bytes. */
static void parse(void)
{
	size_t at = 0;

	found_n = 0;
	while (at + 12 <= notes.len && found_n < NOTES_MAX) {
		struct note *n = &found[found_n++];
		uint32_t name_len = word(at), len = word(at + 4);

		memset(n, 0, sizeof(*n));
		n->type = word(at + 8);
		n->len = len;
		at += 12;
		need(name_len <= sizeof(n->name) && at + name_len <= notes.len, "a name");
		memcpy(n->name, notes.data + at, name_len);
		at += (name_len + 3) & ~3u;
		need(at + len <= notes.len, "contents");
		n->data = (const unsigned char *)notes.data + at;
		at += (len + 3) & ~3u;
	}
	is_int(at, notes.len, "notes end where they end");
}

static const struct note *note(uint32_t type, unsigned nth)
{
	for (unsigned i = 0; i < found_n; i++)
		if (found[i].type == type && nth-- == 0)
			return &found[i];
	bail("no such note");
}

/* ------------------------------------------------------------ a process */

static unsigned char fp[2][512], vector[2][2690];
static struct arch_regs regs[2];
static struct arch_note states[2][2];
static siginfo_t siginfo[2];
static struct core_thread threads[2];
static struct maps maps;
static struct core_process process;

static void map(uint64_t start, uint64_t end, uint64_t offset, uint32_t flags, const char *name)
{
	static struct vma v[8];

	maps.v = v;
	v[maps.n++] = (struct vma){ .start = start, .end = end, .file_offset = offset,
				    .flags = flags, .name = (uint32_t)maps.names.len };
	buf_append(&maps.names, name, strlen(name) + 1);
}

static void make_thread(unsigned i)
{
	regs[i].len = sizeof(((struct elf_prstatus *)NULL)->pr_reg);
	memset(regs[i].data, 0x10 + (int)i, sizeof(regs[i].data));
	memset(fp[i], 0x20 + (int)i, sizeof(fp[i]));
	memset(vector[i], 0x30 + (int)i, sizeof(vector[i]));
	memset(vector[i] + FEATURES, 0, 8);
	memset(&siginfo[i], 0x40 + (int)i, sizeof(siginfo[i]));
	states[i][0] = (struct arch_note){ NT_FPREGSET, sizeof(fp[i]), sizeof(fp[i]), fp[i] };
	states[i][1] = (struct arch_note){ NT_X86_XSTATE, sizeof(vector[i]), 0, vector[i] };
	threads[i] = (struct core_thread){
		.tid = 100 + (int)i, .cursig = 11, .sigpend = 0x200, .sighold = 0x400 + i,
		.ppid = 7, .pgrp = 8, .sid = 9, .regs = &regs[i], .notes = states[i],
		.notes_n = 2, .siginfo = &siginfo[i],
	};
}

static void make_process(void)
{
	process = (struct core_process){
		.stat = { .comm = "a-name-of-fifteen-and-more", .state = 'S', .flags = 0x400140,
			  .utime_ticks = 250, .stime_ticks = 7, .cutime_ticks = 1,
			  .cstime_ticks = 2, .nice = -5 },
		.status = { .uid = { 1000, 0, 0, 0 }, .gid = { 70000, 0, 0, 0 } },
		.pid = 100, .ppid = 7, .pgrp = 8, .sid = 9,
		.args = "program with arguments ", .auxv = "auxv....auxv....", .auxv_len = 16,
		.maps = &maps, .own = "{\"a\":1}",
	};
	buf_append(&maps.names, "", 1);
	map(0x1000, 0x3000, 0x5000, VMA_FILE, "/usr/bin/a b");
	map(0x3000, 0x4000, 0, 0, "[heap]");
	map(0x8000, 0x9000, 0, VMA_FILE | VMA_DELETED, "/memfd:x (deleted)");
	map(0x9000, 0xa000, 0, VMA_FILE, "");
	make_thread(0);
	make_thread(1);
}

/* ------------------------------------------------------------------ checks */

static void test_order(void)
{
	static const struct { const char *name; uint32_t type, len; } wanted[] = {
		{ "CORE", NT_PRSTATUS, 336 }, { "CORE", NT_PRPSINFO, 136 },
		{ "CORE", NT_SIGINFO, 128 }, { "CORE", NT_AUXV, 16 },
		{ "CORE", NT_FILE, 16 + 2 * 24 + 13 + 19 }, { "CORE", NT_FPREGSET, 512 },
		{ "LINUX", NT_X86_XSTATE, 2690 },
		{ "CORE", NT_PRSTATUS, 336 }, { "CORE", NT_FPREGSET, 512 },
		{ "LINUX", NT_X86_XSTATE, 2690 }, { "CORE", NT_SIGINFO, 128 },
		{ CORE_NOTE_NAME, CORE_NOTE_TYPE, 7 },
	};

	core_notes(&notes, &process, threads, 2);
	is_int(notes.error, 0, "notes");
	parse();
	is_int(found_n, sizeof(wanted) / sizeof(wanted[0]), "as many as there are");
	for (unsigned i = 0; i < found_n; i++)
		ok(strcmp(found[i].name, wanted[i].name) == 0 && found[i].type == wanted[i].type &&
			   found[i].len == wanted[i].len,
		   "%s %x of %u bytes", found[i].name, found[i].type, found[i].len);
}

static void test_prstatus(void)
{
	struct elf_prstatus s;

	memcpy(&s, note(NT_PRSTATUS, 0)->data, sizeof(s));
	ok(s.pr_info.si_signo == 11 && s.pr_info.si_code == 0 && s.pr_info.si_errno == 0 &&
		   s.pr_cursig == 11 && s.pr_sigpend == 0x200 && s.pr_sighold == 0x400,
	   "signals");
	ok(s.pr_pid == 100 && s.pr_ppid == 7 && s.pr_pgrp == 8 && s.pr_sid == 9, "ids");
	ok(s.pr_utime.tv_sec == 2 && s.pr_utime.tv_usec == 500000 && s.pr_stime.tv_usec == 70000 &&
		   s.pr_cutime.tv_usec == 10000 && s.pr_cstime.tv_usec == 20000,
	   "the leader's times");
	is_mem(&s.pr_reg, regs[0].data, sizeof(s.pr_reg), "registers");
	is_int(s.pr_fpvalid, 1, "with floating point");
	memcpy(&s, note(NT_PRSTATUS, 1)->data, sizeof(s));
	ok(s.pr_pid == 101 && s.pr_sighold == 0x401 && s.pr_utime.tv_sec == 0, "another thread");
	is_mem(&s.pr_reg, regs[1].data, sizeof(s.pr_reg), "  its registers");
	is_mem(note(NT_FPREGSET, 1)->data, fp[1], sizeof(fp[1]), "  its floating point");
	is_mem(note(NT_X86_XSTATE, 1)->data, vector[1], sizeof(vector[1]), "  its vectors");
	is_mem(note(NT_SIGINFO, 1)->data, &siginfo[1], 128, "  its siginfo");
	is_mem(note(NT_SIGINFO, 0)->data, &siginfo[0], 128, "  not the first one's");
}

static void test_process(void)
{
	static const uint64_t head[] = { 2, 4096, 0x1000, 0x3000, 5, 0x8000, 0x9000, 0 };
	const struct note *n = note(NT_FILE, 0);
	struct elf_prpsinfo s;

	memcpy(&s, note(NT_PRPSINFO, 0)->data, sizeof(s));
	ok(s.pr_state == 1 && s.pr_sname == 'S' && s.pr_zomb == 0 && s.pr_nice == -5 &&
		   s.pr_flag == 0x400140,
	   "its state");
	ok(s.pr_uid == 1000 && s.pr_gid == 70000 && s.pr_pid == 100 && s.pr_ppid == 7 &&
		   s.pr_pgrp == 8 && s.pr_sid == 9,
	   "ids");
	is_mem(s.pr_fname, "a-name-of-fifte", 16, "a long name is cut and ended");
	is_str(s.pr_psargs, "program with arguments ", "arguments");
	is_mem(note(NT_AUXV, 0)->data, "auxv....auxv....", 16, "the auxiliary vector");
	is_mem(n->data, head, sizeof(head), "files: their number, pages, ranges");
	is_mem(n->data + sizeof(head), "/usr/bin/a b\0/memfd:x (deleted)", 32, "  and names");
	is_mem(note(CORE_NOTE_TYPE, 0)->data, "{\"a\":1}", 7, "our own");
}

static char state_of(char state)
{
	struct elf_prpsinfo s;

	buf_clear(&notes);
	process.stat.state = state;
	core_notes(&notes, &process, threads, 1);
	parse();
	memcpy(&s, note(NT_PRPSINFO, 0)->data, sizeof(s));
	return s.pr_sname;
}

/* Where the processor has AVX its place has been the same ever since. */
static void test_layout(void)
{
	static const uint32_t avx[] = { 2, 256, 576, 0 };

	if (!__builtin_cpu_supports("avx"))
		return skip("no AVX");
	vector[0][FEATURES] = 7;
	buf_clear(&notes);
	core_notes(&notes, &process, threads, 2);
	parse();
	is_int(note(0x205, 0)->len, 16, "a note says where AVX is");
	is_mem(note(0x205, 0)->data, avx, 16, "  there");
	ok(strcmp(found[found_n - 2].name, "LINUX") == 0 && found[found_n - 2].type == 0x205,
	   "  behind the threads");
	vector[0][FEATURES] = 0;
}

static void test_odd(void)
{
	static char args[300];
	struct elf_prstatus status;
	struct elf_prpsinfo s;

	is_int(state_of('t'), 'T', "stopped by us: stopped");
	is_int(state_of('R'), 'R', "running");
	is_int(state_of('I'), '.', "what the kernel has no letter for");
	is_int(state_of('\0'), '.', "not known");
	memset(args, 'x', sizeof(args) - 1);
	process.args = args;
	process.own = NULL;
	process.stat.comm[0] = '\0';
	threads[0].siginfo = NULL;
	threads[0].notes_n = 0;
	maps.n = 0;
	buf_clear(&notes);
	core_notes(&notes, &process, threads, 1);
	parse();
	is_int(found_n, 4, "what is not known is left out");
	memcpy(&s, note(NT_PRPSINFO, 0)->data, sizeof(s));
	is_int(strnlen(s.pr_psargs, sizeof(s.pr_psargs)), 79, "long arguments are cut and ended");
	memcpy(&status, note(NT_PRSTATUS, 0)->data, sizeof(status));
	is_int(status.pr_fpvalid, 0, "no floating point");
	is_int(note(NT_FILE, 0)->len, 16, "no files");
}

static void test_memory(void)
{
#ifdef DECANT_FAULTS
	buf_free(&notes);
	sys_fault_arm(&(struct sys_fault_plan){ .nth = 1, .name = "realloc" });
	core_notes(&notes, &process, threads, 1);
	sys_fault_disarm();
	is_int(notes.error, -ENOMEM, "out of memory sticks");
#endif
}

int main(void)
{
	make_process();
	test_order();
	test_prstatus();
	test_process();
	test_layout();
	test_odd();
	test_memory();
	buf_free(&notes);
	buf_free(&maps.names);
	return done();
}
