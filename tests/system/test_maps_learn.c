/* SPDX-License-Identifier: MIT */
/*
 * maps_learn(): a large process's flags from the kernel's list are those of
 * smaps, mapping by mapping; and what happens without that list.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "caps/vma_iter.h"
#include "lib/child.h"
#include "lib/kit.h"
#include "process/maps.h"
#include "process/target.h"
#include "sys/fault.h"
#include "sys/sys.h"
#include "tap.h"
#include "uapi/userfaultfd.h"

#define PAGE ((size_t)4096)
#define LARGE ((size_t)80 << 20)
#define AT ((char *)0x200000000000)

static struct caps *caps;

/* ------------------------------------------------------------- the victim */

static char *put(size_t at, size_t len, int prot, int flags, int fd)
{
	char *p = mmap(AT + at, len, prot, flags | MAP_FIXED, fd, 0);

	if (p == MAP_FAILED)
		_exit(9);
	return p;
}

static void victim_uffd(char *at)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (uintptr_t)at, PAGE }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0 || ioctl(fd, UFFDIO_REGISTER, &reg) < 0)
		_exit(8);
}

static void victim_main(void)
{
	const int rw = PROT_READ | PROT_WRITE, anon = MAP_PRIVATE | MAP_ANONYMOUS;
	int fd = memfd_create("file", 0);
	char *p;

	memset(put(0x100000000, LARGE, rw, anon, -1), 1, LARGE);
	*put(0, PAGE, rw, anon, -1) = 1;
	put(0x10000, PAGE, PROT_READ, anon, -1);
	*put(0x20000, 2 * PAGE, rw, MAP_SHARED | MAP_ANONYMOUS, -1) = 1;
	madvise(put(0x30000, PAGE, rw, anon, -1), PAGE, MADV_DONTDUMP);
	madvise(put(0x40000, PAGE, rw, anon, -1), PAGE, MADV_DONTFORK);
	madvise(put(0x50000, PAGE, rw, anon, -1), PAGE, MADV_WIPEONFORK);
	if (ftruncate(fd, 4096) < 0)
		_exit(9);
	put(0x60000, PAGE, rw, MAP_SHARED, fd);
	*put(0x70000, PAGE, rw, MAP_PRIVATE, fd) = 1;
	put(0x80000, PAGE, rw, MAP_PRIVATE, fd);
	p = put(0x90000, PAGE, rw, anon, -1);
	*p = 1;
	madvise(p, PAGE, MADV_DONTDUMP);
	madvise(p, PAGE, MADV_DONTFORK);
	victim_uffd(put(0xa0000, PAGE, rw, anon, -1));
	/* No page of it is needed, nor there. */
	(void)mmap(AT + 0x40000000, (size_t)2 << 20, rw,
		   anon | MAP_HUGETLB | MAP_NORESERVE | MAP_FIXED, -1, 0);
	(void)mlock(put(0xb0000, PAGE, rw, anon, -1), PAGE);
	/* More than the list gives at a time. */
	for (size_t i = 0; i < 3000; i++)
		put(0x200000000 + i * PAGE, PAGE, i % 2 ? PROT_READ : PROT_NONE, anon, -1);
	(void)mlock(put(0xc0000, PAGE, rw, anon | MAP_GROWSDOWN, -1), PAGE);
}

static struct target *victim_start(void)
{
	struct target *t = NULL;
	struct err e;

	if (target_open(&t, child_of(victim_main), caps, &e) < 0)
		kit_die("%s", e.text);
	return t;
}

static void victim_end(struct target *t)
{
	pid_t pid = t->pid;

	target_close(t);
	child_end(pid);
}

/* ------------------------------------------------------------ the two ways */

/* smaps sees pages; the list sees that there may be some. */
static bool is_same(const struct vma *list, const struct vma *smaps)
{
	uint32_t differ = list->flags ^ smaps->flags;

	return list->start == smaps->start && list->end == smaps->end &&
	       list->page_size == smaps->page_size &&
	       (differ & ~(uint32_t)VMA_ANON) == 0 &&
	       (!(smaps->flags & VMA_ANON) || (list->flags & VMA_ANON));
}

static unsigned count_differences(const struct maps *list, const struct maps *smaps)
{
	unsigned bad = list->n != smaps->n;

	for (size_t i = 0; i < list->n && i < smaps->n; i++) {
		if (is_same(&list->v[i], &smaps->v[i]))
			continue;
		diag("%lx %s: %x, smaps %x", (unsigned long)smaps->v[i].start,
		     maps_name(smaps, &smaps->v[i]), list->v[i].flags, smaps->v[i].flags);
		bad++;
	}
	return bad;
}

static uint32_t flags_at(const struct maps *m, size_t at)
{
	const struct vma *v = maps_find(m, (uintptr_t)AT + at);

	return v ? v->flags : 0;
}

static void test_same(void)
{
	struct target *t = victim_start();
	struct maps list = MAPS_INIT, smaps = MAPS_INIT;
	struct err e;

	need(maps_read(t, MAPS_SMAPS, &smaps, &e) == 0, "%s", e.text);
	is_int(maps_learn(t, &list, &e), 0, "learnt: %s", e.text);
	is_int(count_differences(&list, &smaps), 0, "all %zu are the same", smaps.n);
	ok(flags_at(&list, 0x30000) & VMA_DONTDUMP, "dd");
	ok(flags_at(&list, 0xa0000) & VMA_UFFD, "a userfaultfd");
	ok(!(flags_at(&list, 0x80000) & VMA_ANON) && flags_at(&list, 0x70000) & VMA_ANON,
	   "written to or not");
	/* The control: one flag that is wrong is seen. */
	list.v[list.n / 2].flags ^= VMA_DONTFORK;
	is_int(count_differences(&list, &smaps), 1, "a wrong flag would be seen");
	maps_free(&list);
	maps_free(&smaps);
	victim_end(t);
}

/* Each mapping once, however long the list is; and not by way of smaps. */
static void test_list(void)
{
	struct target *t = victim_start();
	struct maps plain = MAPS_INIT;
	struct buf records = BUF_INIT;
	size_t n, each = sizeof(struct vma_record), missing = 0, beyond;
	struct vma_iter v;
	struct err e;

	need(vma_iter_open(&v, &e) == 0, "%s", e.text);
	need(maps_read(t, MAPS_PLAIN, &plain, &e) == 0, "%s", e.text);
	is_int(vma_iter_read(&v, t->live, &records), 0, "read");
	n = records.len / each;
	/* [vsyscall], where the kernel has it, is in the kernel's half. */
	beyond = plain.n && plain.v[plain.n - 1].start > INT64_MAX;
	is_int(n, plain.n - beyond, "all but [vsyscall], and none twice");
	for (size_t i = 0; i < n && i < plain.n; i++) {
		struct vma_record r;

		memcpy(&r, records.data + i * each, each);
		missing += r.start != plain.v[i].start || r.end != plain.v[i].end;
	}
	is_int(missing, 0, "in the order of the maps");
	ok(n > 3000, "control: a long one, %zu", n);
	vma_iter_close(&v);
	buf_free(&records);
	maps_free(&plain);
	victim_end(t);
}

/* Anything that fails there must not be seen here. */
static void test_failing(void)
{
	struct target *t = victim_start();
	struct maps list = MAPS_INIT, smaps = MAPS_INIT;
	struct sys_fault_plan f = { .name = "bpf" };
	struct err e;
	unsigned n;
	int r;

	need(maps_read(t, MAPS_SMAPS, &smaps, &e) == 0, "%s", e.text);
	for (n = 1; n < 100; n++) {
		f.nth = n;
		sys_fault_arm(&f);
		r = maps_learn(t, &list, &e);
		sys_fault_disarm();
		if (r < 0 || count_differences(&list, &smaps))
			ok(false, "without its call %u: %s", n, e.text);
		if (sys_fault_fired() == 0)
			break;
	}
	ok(n > 3, "without any one of its calls, %u of them, it is smaps", n - 1);
	maps_free(&list);
	maps_free(&smaps);
	victim_end(t);
}

/* The list is of another time than the maps. */
static void test_records(void)
{
	static const char text[] =
		"1000-2000 rw-p 00000000 00:00 0 \n"
		"2000-4000 rw-p 00000000 00:00 0 \n"
		"5000-6000 rw-s 00000000 00:00 0 \n"
		"8000-9000 rw-p 00000000 00:00 0 \n"
		"9000-a000 rw-p 00000000 00:00 0 \n";
	static const struct vma_record records[] = {
		{ 0x1000, 0x2000, 1, 0, 0 },        /* the same */
		{ 0x2000, 0x3000, 2, 0, 0 },        /* grew since */
		{ 0x5000, 0x6000, 4 | 8, 1, 1 },
		{ 0x7000, 0xa000, 8 | 16, 1, 0 },   /* split since */
	};
	static const struct vma_bits bits = { 1, 2, 4, 32, 8 | 16 };
	struct maps m = MAPS_INIT;

	need(maps_parse(text, MAPS_PLAIN, &m) == 0, "text");
	maps_take_records(&m, &bits, records, sizeof(records));
	is_int(m.v[0].flags & ~3u, VMA_KNOWN | VMA_DONTDUMP, "the same");
	is_int(m.v[1].flags & ~3u, 0, "one that grew is not known");
	is_int(m.v[2].flags & ~3u, VMA_SHARED | VMA_KNOWN | VMA_WIPEONFORK | VMA_UFFD,
	       "one bit of two; shared is never anon");
	is_int(m.v[3].flags & ~3u, VMA_KNOWN | VMA_HUGETLB | VMA_ANON, "both bits");
	is_int(m.v[4].flags, m.v[3].flags, "both parts of one");
	maps_take_records(&m, &bits, records, sizeof(records) - 1);
	maps_free(&m);
}

int main(void)
{
	struct err e;

	kit_start(120);
	tap_case("a list of another time", test_records);
	need(caps_create(&caps, NULL, &e) == 0, "%s", e.text);
	if (!caps_has(caps, FACT_VMA_LIST)) {
		struct vma_iter v;

		(void)vma_iter_open(&v, &e);
		skip("no list: %s", e.text);
	} else {
		tap_case("a long list", test_list);
		tap_case("the list and smaps say the same", test_same);
		tap_case("a list that fails", test_failing);
	}
	caps_destroy(caps);
	return done();
}
