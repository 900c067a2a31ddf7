/* SPDX-License-Identifier: MIT */
/* Part of test_core_file: what we see of the process, and the core that image/ makes of it. */
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "image/core.h"
#include "lib/kit.h"
#include "process/maps.h"
#include "process/procfs.h"
#include "system/twin.h"
#include "tap.h"

struct seen {
	struct arch_regs regs;
	struct arch_note notes[2];
	unsigned char fp[512], vector[16384];
	siginfo_t siginfo;
	struct proc_status status;
};

pid_t twin_pid;
static struct seen seen[TWIN_THREADS];
static struct core_thread threads[TWIN_THREADS];
static struct core_process process;
struct maps twin_maps;
static struct buf args, auxv;

static size_t get_set(pid_t tid, int type, void *data, size_t size)
{
	struct iovec v = { data, size };

	kit_must(ptrace(PTRACE_GETREGSET, tid, (void *)(uintptr_t)type, &v));
	return v.iov_len;
}

static void read_proc(const char *name, struct buf *b)
{
	char path[64];
	int dir;

	snprintf(path, sizeof(path), "/proc/%d", (int)twin_pid);
	dir = kit_must(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	is_int(procfs_read(dir, name, b), 0, "/proc/PID/%s", name);
	close(dir);
}

static void stop_thread(pid_t tid)
{
	int status;

	kit_must(ptrace(PTRACE_SEIZE, tid, NULL, NULL));
	if (tid == twin_pid)
		return;
	kit_must(ptrace(PTRACE_INTERRUPT, tid, NULL, NULL));
	kit_must(waitpid(tid, &status, __WALL));
	need(WIFSTOPPED(status), "a thread stops");
}

static void look_at_thread(unsigned i)
{
	struct seen *s = &seen[i];
	struct buf text = BUF_INIT;
	char name[64];

	s->regs.len = (uint32_t)get_set(twin_shared->tids[i], NT_PRSTATUS, s->regs.data,
					sizeof(s->regs.data));
	s->notes[0] = (struct arch_note){ .type = NT_FPREGSET, .data = s->fp };
	s->notes[0].len =
		(uint32_t)get_set(twin_shared->tids[i], NT_FPREGSET, s->fp, sizeof(s->fp));
	s->notes[1] = (struct arch_note){ .type = NT_X86_XSTATE, .data = s->vector };
	s->notes[1].len = (uint32_t)get_set(twin_shared->tids[i], NT_X86_XSTATE, s->vector,
					    sizeof(s->vector));
	snprintf(name, sizeof(name), "task/%d/status", (int)twin_shared->tids[i]);
	read_proc(name, &text);
	is_int(procfs_parse_status(buf_str(&text), &s->status), 0, "status of thread %u", i);
	buf_free(&text);
	threads[i] = (struct core_thread){
		.tid = s->status.ns_pid, .cursig = SIGABRT, .sigpend = s->status.sig_pending,
		.sighold = s->status.sig_blocked, .ppid = getpid(), .pgrp = getpgrp(),
		.sid = getsid(0), .regs = &s->regs, .notes = s->notes, .notes_n = 2,
	};
}

static void look_at_process(void)
{
	struct buf text = BUF_INIT;

	read_proc("stat", &text);
	is_int(procfs_parse_stat(buf_str(&text), &process.stat), 0, "stat");
	buf_clear(&text);
	read_proc("smaps", &text);
	is_int(maps_parse(buf_str(&text), MAPS_SMAPS, &twin_maps), 0, "smaps");
	buf_free(&text);
	read_proc("auxv", &auxv);
	read_proc("cmdline", &args);
	for (size_t i = 0; i < args.len; i++)
		if (args.data[i] == '\0')
			args.data[i] = ' ';
	process.status = seen[0].status;
	process.pid = twin_pid;
	process.ppid = getpid();
	process.pgrp = getpgrp();
	process.sid = getsid(0);
	process.args = buf_str(&args);
	process.auxv = auxv.data;
	process.auxv_len = auxv.len;
	process.maps = &twin_maps;
	/* Just as long as PRSTATUS: a type that gdb knows would become a thread. */
	process.own = memset(calloc(1, 337), 'o', 336);
}

void twin_stop(void)
{
	int status;

	while (__atomic_load_n(&twin_shared->ready, __ATOMIC_SEQ_CST) < TWIN_THREADS - 1)
		need(waitpid(twin_pid, &status, WNOHANG) == 0, "the victim lives");
	kit_sleep_ms(50); /* so that they are where they will stay */
	for (unsigned i = 0; i < TWIN_THREADS; i++)
		stop_thread(twin_shared->tids[i]);
	kit_write_all(twin_shared->go[1], "g", 1, -1);
	kit_must(waitpid(twin_pid, &status, __WALL));
	need(WIFSTOPPED(status) && WSTOPSIG(status) == SIGABRT, "it stops with its signal");
	kit_must(ptrace(PTRACE_GETSIGINFO, twin_pid, NULL, &seen[0].siginfo));
	for (unsigned i = 0; i < TWIN_THREADS; i++)
		look_at_thread(i);
	threads[0].siginfo = &seen[0].siginfo;
	look_at_process();
}

/* ----------------------------------------------------------------- our core */

static uint64_t bytes_of(const struct vma *v, int mem_fd)
{
	char page[CORE_PAGE];

	switch (core_part(v, 0x33, false)) {
	case CORE_WHOLE:
		return v->end - v->start;
	case CORE_FIRST_PAGE:
		return pread(mem_fd, page, sizeof(page), (off_t)v->start) == sizeof(page) &&
				       core_is_elf(page, sizeof(page)) ? CORE_PAGE : 0;
	default:
		return 0;
	}
}

static void copy_memory(int fd, int mem_fd, uint64_t start, uint64_t len, uint64_t offset)
{
	char page[CORE_PAGE];

	for (uint64_t at = 0; at < len; at += sizeof(page))
		if (pread(mem_fd, page, sizeof(page), (off_t)(start + at)) == sizeof(page))
			kit_write_all(fd, page, sizeof(page), (int64_t)(offset + at));
}

void twin_write_ours(const char *path)
{
	static struct core_segment segments[1000];
	struct core_layout layout = CORE_LAYOUT_INIT;
	struct buf notes = BUF_INIT, head = BUF_INIT, tail = BUF_INIT;
	int fd = kit_must(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	char name[64];
	int mem_fd;

	snprintf(name, sizeof(name), "/proc/%d/mem", (int)twin_pid);
	mem_fd = kit_must(open(name, O_RDONLY | O_CLOEXEC));
	need(twin_maps.n < 1000, "few mappings");
	is_int(core_layout_begin(&layout, twin_maps.n, TWIN_THREADS, 4096), 0, "layout");
	for (size_t i = 0; i < twin_maps.n; i++) {
		const struct vma *v = &twin_maps.v[i];
		uint64_t len = bytes_of(v, mem_fd), run;

		segments[i] = (struct core_segment){
			v->start, v->end, len,
			(v->flags & VMA_READ ? PF_R : 0u) | (v->flags & VMA_WRITE ? PF_W : 0u) |
				(v->flags & VMA_EXEC ? PF_X : 0u),
		};
		need(core_layout_place(&layout, v->start, v->start + len) == 0, "a place");
		if (len)
			copy_memory(fd, mem_fd, v->start, len,
				    core_layout_offset(&layout, v->start, &run));
	}
	core_notes(&notes, &process, threads, TWIN_THREADS);
	is_int(core_head(&layout, segments, twin_maps.n, &notes, &head, &tail, NULL), 0, "headers");
	kit_write_all(fd, head.data, head.len, 0);
	kit_must(ftruncate(fd, (off_t)layout.file_end));
	is_int(tail.len, 0, "they fit");
	close(mem_fd);
	close(fd);
	core_layout_free(&layout);
	buf_free(&notes);
	buf_free(&head);
	buf_free(&tail);
}
