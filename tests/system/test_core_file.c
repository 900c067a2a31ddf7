/* SPDX-License-Identifier: MIT */
/*
 * A core made by image/ next to the one that the kernel writes of the same
 * process at the same instant: notes field by field, segments, memory, and
 * what gdb and elfutils say of both.
 *
 * The process stands in a signal-delivery-stop of the signal that will kill
 * it, so nothing runs between our look and the kernel's.
 */
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "image/core.h"
#include "lib/kit.h"
#include "process/maps.h"
#include "process/procfs.h"
#include "tap.h"

#define THREADS 4
#define NT_X86_XSAVE_LAYOUT 0x205

/* --------------------------------------------------------------- the victim */

static struct {
	int ready;
	pid_t tids[THREADS];
	int go[2];
} *shared;

char victim_words[] = "words in .data that gdb can print";
static char *victim_heap;

static void victim_vectors(unsigned char first)
{
	unsigned char v[64];

	memset(v, first, sizeof(v));
	__asm__ volatile("movups %0, %%xmm0\n\tmovups %0, %%xmm7\n\tmovups %0, %%xmm15"
			 : : "m"(*(const char(*)[16])v) : "xmm0", "xmm7", "xmm15");
	if (__builtin_cpu_supports("avx"))
		__asm__ volatile("vmovups %0, %%ymm3" : : "m"(*(const char(*)[32])v) : "xmm3");
}

__attribute__((noinline)) static void victim_deep(int level, long nr)
{
	if (level) {
		victim_deep(level - 1, nr);
	} else if (nr < 0) {
		for (;;)
			__asm__ volatile("" : : : "memory");
	} else {
		long r = nr;

		/* Not through libc, which may use vector registers. */
		__asm__ volatile("syscall" : "+a"(r) : "D"(0), "S"(0), "d"(0), "r"(0L)
				 : "rcx", "r11", "memory");
	}
	__asm__ volatile(""); /* so that the calls above are no jumps */
}

static void *victim_thread(void *arg)
{
	int i = (int)(intptr_t)arg;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, i % 2 ? SIGUSR2 : SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (i == 1)
		pthread_kill(pthread_self(), SIGUSR2); /* stays pending, blocked */
	shared->tids[i] = (pid_t)syscall(SYS_gettid);
	__atomic_add_fetch(&shared->ready, 1, __ATOMIC_SEQ_CST);
	victim_vectors((unsigned char)(0x11 * i));
	victim_deep(i, i == 2 ? -1 : SYS_pause);
	return NULL;
}

static void victim_mappings(void)
{
	char *p = kit_must(mmap(NULL, 40 * 4096, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	int fd = kit_must(open("mapped file", O_RDWR | O_CREAT | O_CLOEXEC, 0600));

	memset(p + 5 * 4096, 'a', 4096);
	kit_must(madvise(p + 20 * 4096, 4096, MADV_DONTDUMP));
	p[20 * 4096] = 'd';
	kit_must(mprotect(p + 30 * 4096, 4096, PROT_NONE));
	kit_must(ftruncate(fd, 3 * 4096));
	p = kit_must(mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	p[4096] = 's';
	p = kit_must(mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 4096));
	p[0] = 'p';
	p = kit_must(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	p[1] = 'z';
	victim_heap = malloc(100000);
	memset(victim_heap, 'h', 100000);
	close(fd);
}

__attribute__((noreturn)) static void victim(void)
{
	pthread_t thread;
	char c;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	victim_mappings();
	shared->tids[0] = getpid();
	for (intptr_t i = 1; i < THREADS; i++)
		if (pthread_create(&thread, NULL, victim_thread, (void *)i))
			_exit(1);
	victim_vectors(0xee);
	if (read(shared->go[0], &c, 1) == 1)
		raise(SIGABRT);
	_exit(2);
}

/* ------------------------------------------------------------- what we see */

struct seen {
	struct arch_regs regs;
	struct arch_note notes[2];
	unsigned char fp[512], vector[16384];
	siginfo_t siginfo;
	struct proc_status status;
};

static pid_t pid;
static struct seen seen[THREADS];
static struct core_thread threads[THREADS];
static struct core_process process;
static struct maps maps;
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

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	dir = kit_must(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	is_int(procfs_read(dir, name, b), 0, "/proc/PID/%s", name);
	close(dir);
}

static void stop_thread(pid_t tid)
{
	int status;

	kit_must(ptrace(PTRACE_SEIZE, tid, NULL, NULL));
	if (tid == pid)
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

	s->regs.len = (uint32_t)get_set(shared->tids[i], NT_PRSTATUS, s->regs.data,
					sizeof(s->regs.data));
	s->notes[0] = (struct arch_note){ .type = NT_FPREGSET, .data = s->fp };
	s->notes[0].len = (uint32_t)get_set(shared->tids[i], NT_FPREGSET, s->fp, sizeof(s->fp));
	s->notes[1] = (struct arch_note){ .type = NT_X86_XSTATE, .data = s->vector };
	s->notes[1].len = (uint32_t)get_set(shared->tids[i], NT_X86_XSTATE, s->vector,
					    sizeof(s->vector));
	snprintf(name, sizeof(name), "task/%d/status", (int)shared->tids[i]);
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
	is_int(maps_parse(buf_str(&text), MAPS_SMAPS, &maps), 0, "smaps");
	buf_free(&text);
	read_proc("auxv", &auxv);
	read_proc("cmdline", &args);
	for (size_t i = 0; i < args.len; i++)
		if (args.data[i] == '\0')
			args.data[i] = ' ';
	process.status = seen[0].status;
	process.pid = pid;
	process.ppid = getpid();
	process.pgrp = getpgrp();
	process.sid = getsid(0);
	process.args = buf_str(&args);
	process.auxv = auxv.data;
	process.auxv_len = auxv.len;
	process.maps = &maps;
	/* Just as long as PRSTATUS: a type that gdb knows would become a thread. */
	process.own = memset(calloc(1, 337), 'o', 336);
}

static void stop_victim(void)
{
	int status;

	while (__atomic_load_n(&shared->ready, __ATOMIC_SEQ_CST) < THREADS - 1)
		need(waitpid(pid, &status, WNOHANG) == 0, "the victim lives");
	kit_sleep_ms(50); /* so that they are where they will stay */
	for (unsigned i = 0; i < THREADS; i++)
		stop_thread(shared->tids[i]);
	kit_write_all(shared->go[1], "g", 1, -1);
	kit_must(waitpid(pid, &status, __WALL));
	need(WIFSTOPPED(status) && WSTOPSIG(status) == SIGABRT, "it stops with its signal");
	kit_must(ptrace(PTRACE_GETSIGINFO, pid, NULL, &seen[0].siginfo));
	for (unsigned i = 0; i < THREADS; i++)
		look_at_thread(i);
	threads[0].siginfo = &seen[0].siginfo;
	look_at_process();
}

/* --------------------------------------------------------------- our core */

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

static void write_ours(const char *path)
{
	static struct core_segment segments[1000];
	struct core_layout layout = CORE_LAYOUT_INIT;
	struct buf notes = BUF_INIT, head = BUF_INIT, tail = BUF_INIT;
	int fd = kit_must(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	char name[64];
	int mem_fd;

	snprintf(name, sizeof(name), "/proc/%d/mem", (int)pid);
	mem_fd = kit_must(open(name, O_RDONLY | O_CLOEXEC));
	need(maps.n < 1000, "few mappings");
	is_int(core_layout_begin(&layout, maps.n, THREADS, 4096), 0, "layout");
	for (size_t i = 0; i < maps.n; i++) {
		const struct vma *v = &maps.v[i];
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
	core_notes(&notes, &process, threads, THREADS);
	is_int(core_head(&layout, segments, maps.n, &notes, &head, &tail, NULL), 0, "headers");
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

/* ------------------------------------------------------------ reading cores */

#define NOTES_MAX 64

struct note {
	char name[16];
	uint32_t type, len;
	pid_t tid;               /* of the PRSTATUS before it */
	unsigned char *data;
};

struct core {
	unsigned char *data;
	size_t len;
	const Elf64_Phdr *loads;
	unsigned loads_n;
	struct note notes[NOTES_MAX];
	unsigned notes_n;
};

static uint32_t word(const unsigned char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void read_notes(struct core *c, unsigned char *p, size_t len)
{
	pid_t tid = 0;
	size_t at = 0;

	while (at + 12 <= len) {
		struct note *n = &c->notes[c->notes_n++];
		uint32_t name_len = word(p + at);

		need(c->notes_n < NOTES_MAX && name_len <= sizeof(n->name), "notes");
		n->len = word(p + at + 4);
		n->type = word(p + at + 8);
		memcpy(n->name, p + at + 12, name_len);
		at += 12 + ((name_len + 3) & ~3u);
		n->data = p + at;
		at += (n->len + 3) & ~3u;
		if (n->type == NT_PRSTATUS)
			tid = ((const struct elf_prstatus *)(const void *)n->data)->pr_pid;
		n->tid = n->type == NT_X86_XSAVE_LAYOUT ? 0 : tid; /* of all */
	}
}

static void read_core(struct core *c, const char *path)
{
	int fd = kit_must(open(path, O_RDONLY | O_CLOEXEC));
	const Elf64_Ehdr *eh;
	const Elf64_Phdr *ph;
	struct stat st;

	kit_must(fstat(fd, &st));
	memset(c, 0, sizeof(*c));
	c->len = (size_t)st.st_size;
	c->data = kit_must(mmap(NULL, c->len, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	close(fd);
	eh = (const void *)c->data;
	ph = (const void *)(c->data + eh->e_phoff);
	need(c->len > sizeof(*eh) && ph->p_type == PT_NOTE, "%s begins with its notes", path);
	read_notes(c, c->data + ph->p_offset, ph->p_filesz);
	c->loads = ph + 1;
	c->loads_n = eh->e_phnum - 1u;
}

static const struct note *find_note(const struct core *c, const struct note *like)
{
	for (unsigned i = 0; i < c->notes_n; i++)
		if (c->notes[i].type == like->type && c->notes[i].tid == like->tid &&
		    strcmp(c->notes[i].name, like->name) == 0)
			return &c->notes[i];
	return NULL;
}

/* --------------------------------------------------------------- comparing */

static uint64_t time_us(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * 1000000 + (uint64_t)t->tv_usec;
}

/* What may differ is made the same: clocks, and what dying itself changes. */
static void is_prstatus(const struct note *kernel, const struct note *own)
{
	struct elf_prstatus k, o;
	uint64_t ours_us, theirs_us;

	memcpy(&k, kernel->data, sizeof(k));
	memcpy(&o, own->data, sizeof(o));
	ours_us = time_us(&o.pr_utime) + time_us(&o.pr_stime);
	theirs_us = time_us(&k.pr_utime) + time_us(&k.pr_stime);
	if (own->tid == pid)
		ok(ours_us + 100000 > theirs_us && ours_us < theirs_us + 100000,
		   "CPU time: %ju us, the kernel says %ju us", (uintmax_t)ours_us,
		   (uintmax_t)theirs_us);
	memset(&k.pr_utime, 0, 2 * sizeof(k.pr_utime));
	memset(&o.pr_utime, 0, 2 * sizeof(o.pr_utime));
	k.pr_sigpend &= ~(1ul << (SIGKILL - 1));
	is_mem(&o.pr_reg, &k.pr_reg, sizeof(k.pr_reg), "registers of thread %d", (int)own->tid);
	is_mem(&o, &k, sizeof(k), "PRSTATUS of thread %d", (int)own->tid);
}

static void is_prpsinfo(const struct note *kernel, const struct note *own)
{
	struct elf_prpsinfo k, o;

	memcpy(&k, kernel->data, sizeof(k));
	memcpy(&o, own->data, sizeof(o));
	ok(k.pr_sname == 'R' && o.pr_sname == 'T', "it runs when it dies; we stopped it");
	k.pr_state = o.pr_state;
	k.pr_sname = o.pr_sname;
	is_int(k.pr_flag & ~0x600ul, o.pr_flag & ~0x600ul,
	       "flags but for PF_DUMPCORE and PF_SIGNALED");
	k.pr_flag = o.pr_flag;
	is_mem(&o, &k, sizeof(k), "PRPSINFO");
}

/* Kernels before 6.12 do not say how their XSTATE is laid out. */
static bool kernel_has_layout(const struct core *kernel)
{
	for (unsigned i = 0; i < kernel->notes_n; i++)
		if (kernel->notes[i].type == NT_X86_XSAVE_LAYOUT)
			return true;
	return false;
}

static void compare_notes(const struct core *kernel, const struct core *own)
{
	for (unsigned i = 0; i < kernel->notes_n; i++) {
		const struct note *k = &kernel->notes[i], *o = find_note(own, k);
		uint32_t len = o && o->len < k->len ? o->len : k->len;

		if (!ok(o, "%s %#x of thread %d is there", k->name, k->type, (int)k->tid))
			continue;
		if (k->type == NT_PRSTATUS) {
			is_prstatus(k, o);
		} else if (k->type == NT_PRPSINFO) {
			is_prpsinfo(k, o);
		} else {
			/* Of the vector state ptrace gives more than the kernel's cores have. */
			ok(o->len == k->len || k->type == NT_X86_XSTATE,
			   "  its length: %u, the kernel's %u", o->len, k->len);
			is_mem(o->data, k->data, len, "  its contents");
		}
	}
	for (unsigned i = 0; i < own->notes_n; i++)
		if (own->notes[i].type != CORE_NOTE_TYPE &&
		    (own->notes[i].type != NT_X86_XSAVE_LAYOUT || kernel_has_layout(kernel)))
			ok(find_note(kernel, &own->notes[i]), "%#x of thread %d is in the kernel's",
			   own->notes[i].type, (int)own->notes[i].tid);
}

/* The order of notes, but not that of the threads behind the first. */
static void compare_order(const struct core *kernel, const struct core *own)
{
	unsigned i = 0, n = kernel->notes_n < own->notes_n ? kernel->notes_n : own->notes_n;

	while (i < n && kernel->notes[i].type == own->notes[i].type)
		i++;
	ok(i == n || own->notes[i].type == CORE_NOTE_TYPE,
	   "the order is the kernel's: %u of %u notes", i, n);
	is_int(own->notes[0].tid, pid, "the main thread is the first");
}

static void diag_load(const char *whose, const Elf64_Phdr *p)
{
	diag("%s: %jx-%jx flags %x, %jx bytes", whose, (uintmax_t)p->p_vaddr,
	     (uintmax_t)(p->p_vaddr + p->p_memsz), p->p_flags, (uintmax_t)p->p_filesz);
}

/*
 * What is anonymous, writable and was never written to is a hole of ours.  What
 * nobody may touch and where no page is has no bytes.
 */
static bool is_right_difference(const struct vma *v, const Elf64_Phdr *kernel,
				const Elf64_Phdr *own)
{
	if (!v || kernel->p_memsz != own->p_memsz)
		return false;
	if (v->flags & VMA_SPECIAL || !(v->flags & (VMA_READ | VMA_ANON)))
		return own->p_filesz == 0;
	return kernel->p_filesz == 0 && v->flags & VMA_WRITE && !(v->flags & VMA_FILE);
}

/* Memory that the test shares with the victim goes on changing. */
static bool is_same_memory(const struct core *kernel, const Elf64_Phdr *k, const struct core *own,
			   const Elf64_Phdr *o)
{
	const struct vma *v = maps_find(&maps, o->p_vaddr);
	size_t len = o->p_filesz < k->p_filesz ? o->p_filesz : k->p_filesz;

	return (v && v->flags & VMA_SHARED && v->flags & VMA_DELETED) ||
	       memcmp(own->data + o->p_offset, kernel->data + k->p_offset, len) == 0;
}

static void compare_loads(const struct core *kernel, const struct core *own)
{
	unsigned wrong = 0, different = 0, bytes = 0;

	is_int(own->loads_n, kernel->loads_n, "as many segments");
	for (unsigned i = 0; i < kernel->loads_n && i < own->loads_n; i++) {
		const Elf64_Phdr *k = &kernel->loads[i], *o = &own->loads[i];

		if (k->p_vaddr != o->p_vaddr || k->p_memsz != o->p_memsz ||
		    k->p_flags != o->p_flags || k->p_align != o->p_align ||
		    k->p_filesz != o->p_filesz) {
			if (is_right_difference(maps_find(&maps, o->p_vaddr), k, o)) {
				different++;
				continue;
			}
			diag_load("kernel", k);
			diag_load("ours", o);
			wrong++;
		}
		if (!is_same_memory(kernel, k, own, o)) {
			diag_load("other contents", o);
			wrong++;
		}
		bytes += o->p_filesz != 0;
	}
	is_int(wrong, 0, "all segments and their memory are as in the kernel's");
	ok(different < 8 && bytes > 8, "  %u with bytes, %u with more or fewer for a reason", bytes,
	   different);
}

/* ------------------------------------------------------------ other readers */

/* What a command prints, without the lines that name files. */
static char *output_of(const char *command)
{
	struct buf b = BUF_INIT;
	char line[4096];
	FILE *f = popen(command, "r");

	need(f, "a shell");
	while (fgets(line, sizeof(line), f))
		if (!strstr(line, "core.") && !strstr(line, "[New LWP"))
			buf_puts(&b, line);
	is_int(pclose(f), 0, "%.40s...", command);
	return buf_take(&b);
}

static char *gdb_of(const char *core, const char *more)
{
	char command[600], exe[200] = "";

	(void)!readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	snprintf(command, sizeof(command),
		 "gdb -nx -batch -iex 'set debuginfod enabled off' -ex 'p victim_words' "
		 "-ex 'info auxv' -ex 'info proc mappings' -ex 'p $_siginfo' "
		 "%s %s %s 2>&1", more, exe, core);
	return output_of(command);
}

static void compare_gdb(void)
{
	char *k = gdb_of("core.kernel", ""), *o = gdb_of("core.ours", "");
	char *all;

	is_str(o, k, "gdb says the same of both cores");
	ok(strstr(o, "words in .data") && strstr(o, "AT_PHDR") && strstr(o, "si_signo = 6"),
	   "  and has something to say");
	free(k);
	free(o);
	all = gdb_of("core.ours", "-ex 'info threads' -ex 'thread apply all bt'");
	for (unsigned i = 0; i < THREADS; i++) {
		char lwp[40];

		snprintf(lwp, sizeof(lwp), "(LWP %d)", (int)shared->tids[i]);
		ok(strstr(all, lwp), "gdb knows thread %u", i);
	}
	ok(strstr(all, "raise (sig=") && strstr(all, "victim_thread (arg=0x1)") &&
		   strstr(all, "victim_thread (arg=0x2)") && strstr(all, "victim_thread (arg=0x3)"),
	   "  and where they are");
	ok(!strstr(all, "\n  5 "), "  and no more of them");
	if (tap_shared->failed)
		printf("%s\n", all);
	free(all);
}

/* Our note has the length of a PRSTATUS: with its type it would be one. */
static void control_type(const struct core *own)
{
	int fd = kit_must(open("core.ours", O_RDWR | O_CLOEXEC));
	const uint32_t type = NT_PRSTATUS;
	const struct note *n = NULL;
	char *all;

	for (unsigned i = 0; i < own->notes_n; i++)
		if (own->notes[i].type == CORE_NOTE_TYPE)
			n = &own->notes[i];
	need(n && strcmp(n->name, CORE_NOTE_NAME) == 0, "our note is there");
	kit_write_all(fd, &type, sizeof(type), n->data - own->data - 12);
	close(fd);
	all = gdb_of("core.ours", "-ex 'info threads'");
	ok(strstr(all, "\n  5 "), "control: gdb takes our note for a thread by its type alone");
	free(all);
}

/* The checks see one byte of one register. */
static void control_registers(const struct core *kernel, struct core *own)
{
	int failed = tap_shared->failed;
	struct note *n = &own->notes[0];

	printf("# the next failures are wanted\n");
	n->data[offsetof(struct elf_prstatus, pr_reg) + 8]++;
	tap_in_case = true;
	compare_notes(kernel, own);
	tap_in_case = false;
	ok(tap_shared->case_failed > 0 && tap_shared->failed == failed,
	   "control: a byte of a register that differs is seen");
}

static void compare_elfutils(void)
{
	char *o = output_of("eu-readelf --notes core.ours 2>&1 >/dev/null; "
			    "readelf -nlW core.ours 2>&1 >/dev/null");

	is_str(o, "", "eu-readelf and readelf have no complaints");
	free(o);
	o = output_of("eu-readelf --notes core.ours | grep -c 'fpvalid: 1'");
	is_int(atoi(o), THREADS, "eu-readelf finds the threads");
	free(o);
	o = output_of("eu-unstrip -n --core core.ours 2>&1 | grep -c libc");
	is_int(atoi(o), 1, "eu-unstrip finds the libraries");
	free(o);
}

/* ------------------------------------------------------------------- main */

/* The kernel writes cores, and writes them here. */
static bool pattern_is_here(void)
{
	const struct rlimit core = { RLIM_INFINITY, RLIM_INFINITY };
	char pattern[200];

	return setrlimit(RLIMIT_CORE, &core) == 0 &&
	       kit_line(pattern, sizeof(pattern), "cat /proc/sys/kernel/core_pattern") &&
	       !strpbrk(pattern, "|/") && strncmp(pattern, "core", 4) == 0;
}

static void find_kernels(void)
{
	DIR *dir = opendir(".");
	struct dirent *e;

	need(dir, "this directory");
	while ((e = readdir(dir)))
		if (strncmp(e->d_name, "core", 4) == 0 && strcmp(e->d_name, "core.ours") != 0)
			kit_must(rename(e->d_name, "core.kernel"));
	closedir(dir);
}

static void make_both(void)
{
	int status;

	kit_must(pipe2(shared->go, O_CLOEXEC));
	fflush(NULL);
	pid = kit_must(fork());
	if (pid == 0)
		victim();
	stop_victim();
	write_ours("core.ours");
	kit_must(ptrace(PTRACE_DETACH, pid, NULL, (void *)(uintptr_t)SIGABRT));
	/* Its other threads are still ours and are reaped by the wait for all. */
	while (waitpid(-1, &status, __WALL) != pid)
		;
	need(WIFSIGNALED(status) && WCOREDUMP(status), "the kernel wrote a core");
	find_kernels();
}

static void clean(const char *dir)
{
	static const char *const names[] = { "core.ours", "core.kernel", "mapped file" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlink(names[i]);
	(void)rmdir(dir);
}

int main(void)
{
	char dir[] = "/tmp/decant-core-XXXXXX";
	static struct core kernel, own;

	kit_start(60);
	if (!pattern_is_here())
		skip_all("the kernel hands cores to others (core_pattern), or may not write any");
	need(mkdtemp(dir) && chdir(dir) == 0, "a directory");
	shared = kit_must(mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	make_both();
	read_core(&kernel, "core.kernel");
	read_core(&own, "core.ours");
	compare_order(&kernel, &own);
	compare_notes(&kernel, &own);
	compare_loads(&kernel, &own);
	compare_gdb();
	compare_elfutils();
	control_type(&own);
	control_registers(&kernel, &own);
	clean(dir);
	return done();
}
