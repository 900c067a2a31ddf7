/* SPDX-License-Identifier: MIT */
/*
 * A victim whose whole memory follows from its counters, and whose registers
 * say between which two stores it stands: the oracle (lib/oracle.c) takes a
 * core of it and computes what every page must hold.  It checks what it finds
 * in its own memory, too.
 *
 *	--mib N         memory, a power of 2 (16)
 *	--threads T     that write, a power of 2 (1)
 *	--idle N        more threads, which sleep
 *	--thp           huge pages (else 4 KiB pages)
 *	--rate W        writes per millisecond (0: flat out)
 *	--tick-us U     a paced writer's sleep (100)
 *	--churn         a thread that maps, moves, empties and unmaps all the time
 *	--shared M --dontfork M --wipe M --hugetlb M --file M
 *	                MiB of the memory that are of this kind
 *	--file-path P   for --file: mapped privately
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "counter.h"
#include "victim.h"

#define MIB ((uint64_t)1 << 20)
#define BATCH_MAX 64
#ifndef MAP_HUGE_2MB
#define MAP_HUGE_2MB (21 << 26)
#endif

static struct counter_ctl *ctl;
static uint64_t rate, tick_ns;
static pthread_barrier_t filled;

/* ------------------------------------------------------------ the writer */

/*
 * n steps from step k on.  r12 (and xmm15) hold k; between the labels the
 * stores that are done are known from the instruction pointer alone.
 */
__attribute__((noinline, noclone)) static void write_steps(uint64_t k, uint64_t **at,
							    const uint64_t *value, uint64_t n,
							    uint64_t *counter)
{
	__asm__ volatile(
		"	mov %[k], %%r12\n"
		"	mov %[at], %%r13\n"
		"	mov %[value], %%r14\n"
		"	mov %[n], %%r15\n"
		"	.globl counter_begin, counter_w0, counter_w1, counter_w2, counter_w3\n"
		"	.globl counter_w4, counter_end\n"
		"counter_begin:\n"
		"1:	mov (%%r13), %%r8\n"
		"	mov (%%r14), %%r9\n"
		"	lea 1(%%r12), %%r10\n"
		"	movq %%r12, %%xmm15\n"
		"counter_w0:\n"
		"	mov %%r9, (%%r8)\n"
		"counter_w1:\n"
		"	mov %%r9, 2040(%%r8)\n"
		"counter_w2:\n"
		"	mov %%r9, 4088(%%r8)\n"
		"counter_w3:\n"
		"	mov %%r10, (%[counter])\n"
		"counter_w4:\n"
		"	mov %%r10, %%r12\n"
		"	add $8, %%r13\n"
		"	add $8, %%r14\n"
		"	dec %%r15\n"
		"	jnz 1b\n"
		"counter_end:\n"
		:
		: [k] "a"(k), [at] "S"(at), [value] "D"(value), [n] "d"(n), [counter] "c"(counter)
		: "r8", "r9", "r10", "r12", "r13", "r14", "r15", "xmm15", "memory", "cc");
}

/* Sleep until a time by the clock, with k in r12. */
__attribute__((noinline, noclone)) static long sleep_until(uint64_t k, const struct timespec *until)
{
	long ret;

	__asm__ volatile(
		"	mov %[k], %%r12\n"
		"	xor %%r10d, %%r10d\n"
		"	syscall\n"
		"	.globl counter_sleep\n"
		"counter_sleep:\n"
		"	nop\n"
		: "=a"(ret)
		: "0"((long)SYS_clock_nanosleep), "D"((long)CLOCK_MONOTONIC),
		  "S"((long)TIMER_ABSTIME), "d"(until), [k] "r"(k)
		: "rcx", "r10", "r11", "r12", "memory", "cc");
	return ret;
}

extern const char counter_begin[], counter_w0[], counter_w1[], counter_w2[], counter_w3[],
	counter_w4[], counter_end[], counter_sleep[];

static uint64_t *page_at(unsigned thread, uint64_t page)
{
	return (uint64_t *)(COUNTER_BASE +
			    (((uint64_t)thread << ctl->bits) + page) * COUNTER_PAGE);
}

/* What the page holds now, before step k: all its words, or a complaint. */
static void check_page(unsigned thread, uint64_t k, uint64_t page)
{
	uint64_t want = counter_value(counter_last(k, page, (unsigned)ctl->bits), thread);
	const uint64_t *p = page_at(thread, page);
	uint64_t all = ((uint64_t)thread << ctl->bits) + page;
	unsigned i;

	for (i = 0; i < COUNTER_WORDS; i++)
		if (p[counter_word[i] / 8] != want)
			victim_error("thread %u step %llu page %llu word %u is not its last value",
				     thread, (unsigned long long)k, (unsigned long long)all, i);
	for (i = 0; i < 2; i++)
		if (p[counter_still[i] / 8] != counter_still_value(all, i))
			victim_error("page %llu lost a word that never changes",
				     (unsigned long long)all);
}

/* n steps, none of which writes a page that another of them does. */
static void writer_batch(unsigned thread, uint64_t k, uint64_t n)
{
	uint64_t *at[BATCH_MAX], value[BATCH_MAX], i, mask = ((uint64_t)1 << ctl->bits) - 1;

	for (i = 0; i < n; i++) {
		uint64_t page = counter_page_of(k >> ctl->bits, (k + i) & mask,
						(unsigned)ctl->bits);

		if (i % 16 == 0)
			check_page(thread, k, page);
		at[i] = page_at(thread, page);
		value[i] = counter_value(k + i, thread);
	}
	write_steps(k, at, value, n, &ctl->thread[thread].k);
}

/*
 * Open before the victim is ready, for what it has open must not change.  And
 * only where somebody reads the report: criu cannot restore such a file of
 * another thread than the first one.
 */
static bool writer_listed;
static __thread int writer_schedstat = -1;

/* How long this thread has waited for a CPU since this was last asked. */
static uint64_t writer_waited_ns(void)
{
	static __thread uint64_t before;
	char text[64] = "";
	unsigned long long ran, waited;
	uint64_t since;

	if (writer_schedstat < 0 || pread(writer_schedstat, text, sizeof(text) - 1, 0) <= 0 ||
	    sscanf(text, "%llu %llu", &ran, &waited) != 2)
		return 0;
	since = waited - before;
	before = waited;
	return since;
}

/* The longest are kept; several writers may lose one to each other. */
static void writer_list_gap(uint64_t begin_ns, uint64_t length_ns)
{
	uint64_t n = __atomic_fetch_add(&report->gaps_n, 1, __ATOMIC_RELAXED), i, least = 0;
	struct report_gap gap = { begin_ns, length_ns, writer_waited_ns() };

	if (n < REPORT_GAPS) {
		report->gaps[n] = gap;
		return;
	}
	for (i = 1; i < REPORT_GAPS; i++)
		if (report->gaps[i].length_ns < report->gaps[least].length_ns)
			least = i;
	if (report->gaps[least].length_ns < length_ns)
		report->gaps[least] = gap;
}

static void writer_gap(uint64_t *last_ns)
{
	uint64_t now = victim_now_ns();

	if (__atomic_load_n(&report->reset_gaps, __ATOMIC_RELAXED)) {
		report->gap_max_ns = report->churn_gap_max_ns = 0;
		report->gaps_n = 0;
		(void)writer_waited_ns();
		__atomic_store_n(&report->reset_gaps, 0, __ATOMIC_RELAXED);
		*last_ns = victim_now_ns();
		return;
	}
	if (now - *last_ns > report->gap_max_ns)
		report->gap_max_ns = now - *last_ns;
	if (now - *last_ns > REPORT_GAP_NS)
		writer_list_gap(*last_ns, now - *last_ns);
	*last_ns = now;
}

/* The first epoch: every page once, in its order. */
static void writer_fill(unsigned thread)
{
	uint64_t i, all, page, n = (uint64_t)1 << ctl->bits;
	unsigned w;

	for (i = 0; i < n; i++) {
		uint64_t *p;

		/* By address: huge pages come in one piece. */
		page = i;
		p = page_at(thread, page);
		all = ((uint64_t)thread << ctl->bits) + page;
		for (w = 0; w < 2; w++)
			p[counter_still[w] / 8] = counter_still_value(all, w);
		for (w = 0; w < COUNTER_WORDS; w++)
			p[counter_word[w] / 8] = counter_value(
				counter_step_of(0, page, (unsigned)ctl->bits), thread);
	}
	ctl->thread[thread].k = n;
	ctl->thread[thread].tid = (uint64_t)syscall(SYS_gettid);
	if (writer_listed)
		writer_schedstat = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
}

/* So many of n steps that a batch may have: they end with the epoch. */
static uint64_t writer_most(uint64_t k, uint64_t n)
{
	uint64_t pages = (uint64_t)1 << ctl->bits, left = pages - (k & (pages - 1));

	if (n > BATCH_MAX)
		n = BATCH_MAX;
	return n < left ? n : left;
}

/* A paced writer makes what is due since the last tick, and no more than that. */
static _Noreturn void writer_paced(unsigned thread)
{
	uint64_t begin = victim_now_ns(), last = begin, until = begin, due = 0, k, n;

	for (;;) {
		struct timespec t;

		until += tick_ns;
		if (until < last)
			until = last;
		t.tv_sec = (time_t)(until / 1000000000);
		t.tv_nsec = (long)(until % 1000000000);
		if (sleep_until(ctl->thread[thread].k, &t) != 0)
			victim_error("thread %u: an absolute sleep was broken", thread);
		writer_gap(&last);
		for (due += rate * tick_ns; due >= 1000000; due -= n * 1000000) {
			k = ctl->thread[thread].k;
			n = writer_most(k, due / 1000000);
			writer_batch(thread, k, n);
		}
		victim_round();
	}
}

static _Noreturn void writer_flat_out(unsigned thread)
{
	uint64_t last = victim_now_ns(), k, round = 0;

	for (;;) {
		k = ctl->thread[thread].k;
		writer_batch(thread, k, writer_most(k, BATCH_MAX));
		writer_gap(&last);
		if ((++round & 3) == 0)
			victim_round();
	}
}

static void *writer_run(void *arg)
{
	unsigned thread = (unsigned)(uintptr_t)arg;

	prctl(PR_SET_TIMERSLACK, 1);
	(void)writer_waited_ns(); /* its descriptor is there from the start */
	writer_fill(thread);
	pthread_barrier_wait(&filled);
	if (rate)
		writer_paced(thread);
	writer_flat_out(thread);
}

/* -------------------------------------------------------- the other threads */

static void *idle_run(void *arg)
{
	for (;;)
		victim_sleep_ns(50000000);
	return arg;
}

#define CHURN_PAGES 64

/* While it is published, all of it holds that value. */
static void churn_show(const uint64_t *p, uint64_t value)
{
	int i;

	ctl->churn_value = value;
	ctl->churn_pages = CHURN_PAGES;
	__atomic_store_n(&ctl->churn_addr, (uint64_t)(uintptr_t)p, __ATOMIC_SEQ_CST);
	for (i = 0; i < CHURN_PAGES; i++)
		if (p[i * COUNTER_PAGE / 8] != value)
			victim_error("a page that was mapped anew holds something else");
	if (rate)
		victim_sleep_ns(100000);
	__atomic_store_n(&ctl->churn_addr, 0, __ATOMIC_SEQ_CST);
}

static void churn_once(uint64_t value)
{
	uint64_t len = CHURN_PAGES * COUNTER_PAGE, i, *to;
	uint64_t *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		victim_die("mmap");
	for (i = 0; i < CHURN_PAGES; i++)
		p[i * COUNTER_PAGE / 8] = value;
	if (value % 3 == 0) {
		churn_show(p, value);
		to = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		p = mremap(p, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to);
		if (p == MAP_FAILED)
			victim_die("mremap");
	} else if (value % 3 == 1) {
		churn_show(p, value);
		madvise(p, len, MADV_DONTNEED);
		value = 0;
	}
	churn_show(p, value);
	munmap(p, len);
}

static void churn_gap(uint64_t begin)
{
	uint64_t now = victim_now_ns();

	if (now - begin > report->churn_gap_max_ns)
		report->churn_gap_max_ns = now - begin;
}

static void *churn_run(void *arg)
{
	uint64_t value = 1, begin;
	void *p;

	(void)arg;
	pthread_barrier_wait(&filled);
	for (;; value++) {
		churn_once(value);
		/* What a target that maps and unmaps has to wait for. */
		begin = victim_now_ns();
		p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			victim_die("mmap");
		*(volatile char *)p = 1;
		munmap(p, 1 << 20);
		churn_gap(begin);
	}
}

/* ---------------------------------------------------------------- set up */

static void memory_part(uint64_t start, uint64_t len, int flags, int fd, int advice)
{
	void *p;

	if (len == 0)
		return;
	p = mmap((void *)start, len, PROT_READ | PROT_WRITE,
		 flags | MAP_FIXED | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
	if (p == MAP_FAILED)
		victim_die("memory");
	/* Not every kernel has huge pages to be told about. */
	if (advice >= 0 && madvise(p, len, advice) != 0 && advice != MADV_NOHUGEPAGE)
		victim_die("madvise");
}

static int memory_file(const char *path, uint64_t len)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)len) != 0)
		victim_die(path);
	return fd;
}

static void memory_make(int argc, char **argv, uint64_t len)
{
	static const struct {
		const char *name;
		int flags, advice;
	} kinds[] = {
		{ "--shared", MAP_SHARED, -1 },
		{ "--dontfork", MAP_PRIVATE, MADV_DONTFORK },
		{ "--wipe", MAP_PRIVATE, MADV_WIPEONFORK },
		{ "--hugetlb", MAP_PRIVATE | MAP_HUGETLB | MAP_HUGE_2MB, -1 },
		{ "--file", MAP_PRIVATE, -1 },
	};
	const char *path = victim_text(argc, argv, "--file-path", NULL);
	uint64_t end = COUNTER_BASE + len, part;
	size_t i;
	int fd;

	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		part = victim_option(argc, argv, kinds[i].name, 0) * MIB;
		if (part == 0)
			continue;
		fd = strcmp(kinds[i].name, "--file") == 0 && path ? memory_file(path, part) : -1;
		end -= part;
		memory_part(end, part, kinds[i].flags, fd, kinds[i].advice);
		if (fd >= 0)
			close(fd);
	}
	memory_part(COUNTER_BASE, end - COUNTER_BASE, MAP_PRIVATE, -1,
		    victim_flag(argc, argv, "--thp") ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

static void control_make(int argc, char **argv, uint64_t len)
{
	const char *const labels[LABELS] = { counter_begin, counter_w0, counter_w1, counter_w2,
		counter_w3, counter_w4, counter_end, counter_sleep };
	unsigned i;

	ctl = mmap((void *)COUNTER_CTL, sizeof(*ctl), PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (ctl == MAP_FAILED)
		victim_die("the counters");
	ctl->pages = len / COUNTER_PAGE;
	ctl->threads = victim_option(argc, argv, "--threads", 1);
	if (ctl->threads > COUNTER_THREADS_MAX || (ctl->pages & (ctl->pages - 1)) ||
	    (ctl->threads & (ctl->threads - 1)))
		victim_die("--mib and --threads must be powers of 2");
	ctl->bits = (uint64_t)__builtin_ctzll(ctl->pages / ctl->threads);
	for (i = 0; i < LABELS; i++)
		ctl->label[i] = (uint64_t)(uintptr_t)labels[i];
	ctl->magic = COUNTER_MAGIC;
}

static void thread_start(void *(*run)(void *), uintptr_t arg)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	if (pthread_create(&thread, &attr, run, (void *)arg) != 0)
		victim_die("pthread_create");
	pthread_attr_destroy(&attr);
}

int main(int argc, char **argv)
{
	uint64_t i, len, idle;
	bool churn;

	writer_listed = victim_option(argc, argv, "--report-fd", UINT64_MAX) != UINT64_MAX;
	victim_start(&argc, argv);
	len = victim_option(argc, argv, "--mib", 16) * MIB;
	rate = victim_option(argc, argv, "--rate", 0);
	tick_ns = victim_option(argc, argv, "--tick-us", 100) * 1000;
	idle = victim_option(argc, argv, "--idle", 0);
	churn = victim_flag(argc, argv, "--churn");
	control_make(argc, argv, len);
	memory_make(argc, argv, len);
	pthread_barrier_init(&filled, NULL, (unsigned)ctl->threads + churn + (ctl->threads > 1));
	for (i = 0; i < idle; i++)
		thread_start(idle_run, 0);
	if (churn)
		thread_start(churn_run, 0);
	if (ctl->threads == 1) {
		/* The one writer is the leader. */
		writer_fill(0);
		victim_ready();
		pthread_barrier_wait(&filled);
		prctl(PR_SET_TIMERSLACK, 1);
		if (rate)
			writer_paced(0);
		writer_flat_out(0);
	}
	for (i = 0; i < ctl->threads; i++)
		thread_start(writer_run, i);
	pthread_barrier_wait(&filled);
	victim_ready();
	for (;;)
		victim_sleep_ns(100000000);
}
