/* SPDX-License-Identifier: MIT */
/*
 * process/track under a victim that does everything to its memory at once, on
 * several threads: an image put together in rounds and a stop must be its
 * memory, byte by byte.  The stop is a SIGSTOP; nothing is traced here.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "lib/forked.h"
#include "lib/kit.h"
#include "process/maps.h"
#include "process/pages.h"
#include "process/procfs.h"
#include "process/track.h"
#include "sys/proc.h"
#include "tap.h"
#include "uapi/userfaultfd.h"

#define PAGE 4096ul
#define MIB (1ul << 20)
#define LEN (32 * MIB)
#define PAGES (LEN / PAGE)
#define AT ((uintptr_t)FORKED_AT)
#define THREADS 3

/* What is left out, to see that the oracle would see it. */
enum fault { FAULT_NONE, FAULT_NO_LAST, FAULT_NO_HOLES, FAULT_NO_ROUND };

struct storm_case {
	const char *name, *mask;
	bool huge;
	unsigned deeds;          /* of the deeds below, the first so many */
	enum fault fault;
};

/* ----------------------------------------------------------------- the victim */

static uint64_t storm_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* By the kernel: where another thread has just unmapped it nothing is written. */
static void storm_write(uint64_t *seed, size_t page, size_t n)
{
	uint64_t value = storm_next(seed);
	struct iovec local = { &value, 8 }, remote;

	for (size_t i = page; i < page + n && i < PAGES; i++) {
		remote = (struct iovec){ FORKED_AT + i * PAGE + value % 500 * 8, 8 };
		(void)process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
	}
}

static void storm_map(size_t at, size_t len, bool huge)
{
	void *p = mmap(FORKED_AT + at, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (p != MAP_FAILED)
		madvise(p, len, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

static void storm_deed(uint64_t *seed, const struct storm_case *c)
{
	size_t page = storm_next(seed) % PAGES, n = 1 + storm_next(seed) % 64, to;
	char *p = FORKED_AT + page * PAGE;
	uint64_t deed = storm_next(seed) % 64;

	if (deed < 8) { /* a whole page table, or huge page */
		page = page / 512 * 512;
		n = 512;
		p = FORKED_AT + page * PAGE;
	}
	n = n < PAGES - page ? n : PAGES - page;
	deed = storm_next(seed) % 64;
	if (deed >= c->deeds)
		deed = 0;
	switch (deed) {
	case 1:
		madvise(p, n * PAGE, MADV_DONTNEED);
		break;
	case 2:
		storm_map((size_t)(p - FORKED_AT), n * PAGE, c->huge);
		break;
	case 3:
		munmap(p, n * PAGE);
		usleep(200);
		storm_map((size_t)(p - FORKED_AT), n * PAGE, c->huge);
		break;
	case 4:
		to = storm_next(seed) % PAGES;
		if (to + n <= PAGES && (to + n <= page || page + n <= to))
			(void)!mremap(p, n * PAGE, n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				      FORKED_AT + to * PAGE);
		storm_map(page * PAGE, n * PAGE, c->huge);
		break;
	case 5:
		mprotect(p, n * PAGE, PROT_READ);
		usleep(100);
		mprotect(p, n * PAGE, PROT_READ | PROT_WRITE);
		break;
	case 6: /* reads make zero pages of what is not there */
		for (size_t i = 0; i < n; i++) {
			struct iovec local = { &to, 8 }, remote = { p + i * PAGE, 8 };

			(void)process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
		}
		break;
	case 7:
		madvise(p, n * PAGE, 25 /* MADV_COLLAPSE */);
		break;
	default:
		storm_write(seed, page, deed < 32 ? 1 : n);
	}
}

static const struct storm_case *storm_case;

static void *storm_thread(void *arg)
{
	uint64_t seed = (uintptr_t)arg;

	for (;;)
		storm_deed(&seed, storm_case);
	return NULL;
}

static long storm_begin(uintptr_t seed)
{
	pthread_t t;

	storm_map(0, LEN, storm_case->huge);
	storm_write(&seed, 0, PAGES / 2);
	for (uintptr_t i = 1; i <= THREADS; i++)
		if (pthread_create(&t, NULL, storm_thread, (void *)(seed * 2 * i + 1)))
			return -1;
	return 0;
}

static long storm_uffd(uintptr_t arg)
{
	(void)arg;
	return syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
}

static long storm_close(uintptr_t fd)
{
	return close((int)fd);
}

/* ------------------------------------------------------------------- the image */

static unsigned char image[LEN], truth[LEN], scratch[LEN];

/* Only what is mapped; it changes all the time. */
static void mapped(struct forked *f, struct ranges *ret)
{
	struct maps m = MAPS_INIT;

	ranges_clear(ret);
	if (maps_read(f->target, MAPS_PLAIN, &m, NULL) < 0)
		kit_die("maps");
	for (size_t i = 0; i < m.n; i++)
		if (m.v[i].start >= AT && m.v[i].end <= AT + LEN)
			ranges_add(ret, m.v[i].start, m.v[i].end);
	maps_free(&m);
}

static void put_in(unsigned char *to, struct forked *f, const struct ranges *what)
{
	struct ranges bad = RANGES_INIT;
	unsigned char *from = scratch;

	if (pages_gather(f->target, PAGES_LIVE, what->v, what->n, scratch, &bad) < 0)
		kit_die("gather");
	for (size_t i = 0; i < what->n; i++) {
		size_t len = what->v[i].end - what->v[i].start;

		memcpy(to + (what->v[i].start - AT), from, len);
		from += len;
	}
	ranges_free(&bad);
}

static void scan(struct forked *f, const struct ranges *of, struct ranges *there)
{
	struct pages_found found = { .there = there };

	ranges_clear(there);
	for (size_t i = 0; i < of->n; i++)
		if (pages_scan(f->target, of->v[i].start, of->v[i].end, &found, NULL) < 0)
			kit_die("scan");
}

static void stand_still(struct forked *f)
{
	struct proc_stat st;
	pid_t *tids = NULL;
	size_t size = 0;
	int n, still;

	kill(f->pid, SIGSTOP);
	do {
		n = procfs_tasks(f->target->proc_fd, &tids, &size);
		still = 0;
		for (int i = 0; i < n; i++) {
			char path[64];
			int dir;

			snprintf(path, sizeof(path), "/proc/%d/task/%d", f->pid, tids[i]);
			dir = open(path, O_RDONLY | O_DIRECTORY);
			still += procfs_stat(dir, &st) == 0 && st.state == 'T';
			close(dir);
		}
	} while (n <= 0 || still < n);
	free(tids);
}

static void rounds(struct forked *f, struct track *tr, unsigned n, enum fault fault)
{
	struct ranges written = RANGES_INIT;
	struct err e;

	for (unsigned i = 0; i < n; i++) {
		ranges_clear(&written);
		if (track_scan(tr, AT, AT + LEN, true, &written, &e) < 0)
			kit_die("%s", e.text);
		if (fault != FAULT_NO_ROUND || i != 1)
			put_in(image, f, &written);
		kit_sleep_ms((unsigned)(kit_random() % 8));
	}
	ranges_free(&written);
}

/* Pages in which the image is not the memory. */
static unsigned last(struct forked *f, struct track *tr, enum fault fault)
{
	struct ranges written = RANGES_INIT, there = RANGES_INIT, gone = RANGES_INIT;
	struct ranges maps = RANGES_INIT;
	unsigned wrong = 0;
	struct err e;

	mapped(f, &maps);
	for (size_t i = 0; i < maps.n && fault != FAULT_NO_LAST; i++)
		if (track_scan(tr, maps.v[i].start, maps.v[i].end, false, &written, &e) < 0)
			kit_die("%s", e.text);
	scan(f, &written, &there);
	ranges_subtract(&gone, &written, &there);
	for (size_t i = 0; i < gone.n && fault != FAULT_NO_HOLES; i++)
		memset(image + (gone.v[i].start - AT), 0, gone.v[i].end - gone.v[i].start);
	put_in(image, f, &there);
	scan(f, &maps, &there);
	memset(truth, 0, sizeof(truth));
	put_in(truth, f, &there);
	for (size_t i = 0; i < PAGES; i++)
		if (ranges_has(&maps, AT + i * PAGE))
			wrong += memcmp(image + i * PAGE, truth + i * PAGE, PAGE) != 0;
	ranges_free(&written);
	ranges_free(&there);
	ranges_free(&gone);
	ranges_free(&maps);
	return wrong;
}

static unsigned capture(struct forked *f, enum fault fault)
{
	int theirs = (int)forked_do(f, storm_uffd, 0);
	int ours = sys_pidfd_getfd(f->target->pidfd, theirs, 0);
	struct ranges maps = RANGES_INIT;
	struct track *tr = NULL;
	struct err e = { "" };
	unsigned wrong;

	forked_do(f, storm_close, (uintptr_t)theirs);
	if (ours < 0 || track_adopt(&tr, f->target, ours, &e) < 0)
		kit_die("uffd %d %s", ours, e.text);
	memset(image, 0, sizeof(image));
	mapped(f, &maps);
	for (size_t i = 0; i < maps.n; i++)
		(void)track_arm(tr, maps.v[i].start, maps.v[i].end, &e);
	rounds(f, tr, 2 + (unsigned)(kit_random() % 4), fault);
	stand_still(f);
	wrong = last(f, tr, fault);
	kill(f->pid, SIGCONT);
	track_close(tr);
	ranges_free(&maps);
	return wrong;
}

static void test_storm(const void *arg)
{
	const struct storm_case *c = arg;
	unsigned times = kit_full() ? 400 : c->fault ? 6 : 25, wrong = 0, bad = 0;
	struct forked f;

	storm_case = c;
	forked_start(&f, c->mask);
	is_int(forked_do(&f, storm_begin, kit_random() | 1), 0, "victim");
	forked_open(&f);
	for (unsigned i = 0; i < times; i++) {
		unsigned n = capture(&f, c->fault);

		wrong += n;
		bad += n > 0;
	}
	diag("%u captures, %u of them wrong, %u pages", times, bad, wrong);
	if (c->fault == FAULT_NONE)
		is_int(wrong, 0, "every page of every image");
	else
		ok(wrong > 0, "it is seen");
	forked_end(&f);
}

int main(void)
{
	static const struct storm_case cases[] = {
		{ "writes only", NULL, false, 1, FAULT_NONE },
		{ "writes only, huge pages", NULL, true, 1, FAULT_NONE },
		{ "all deeds", NULL, false, 8, FAULT_NONE },
		{ "all deeds, huge pages", NULL, true, 8, FAULT_NONE },
		{ "all deeds, without wp_holes", "wp_holes", false, 8, FAULT_NONE },
		{ "all deeds, huge pages, without wp_holes", "wp_holes", true, 8, FAULT_NONE },
		{ "control: without the last scan", NULL, false, 8, FAULT_NO_LAST },
		{ "control: holes are left as they were", NULL, false, 8, FAULT_NO_HOLES },
		{ "control: a round that is not copied", NULL, false, 8, FAULT_NO_ROUND },
	};
	struct caps *caps;
	bool can;

	need_root();
	kit_start(120);
	need(caps_create(&caps, NULL, NULL) == 0, "caps");
	can = track_best(caps) == TRACK_WP;
	caps_destroy(caps);
	if (!can)
		skip_all("this kernel has no asynchronous write protection");
	if (kit_full())
		tap_case_seconds = 400;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		kit_case(test_storm, &cases[i], "%s", cases[i].name);
	return done();
}
