/* SPDX-License-Identifier: MIT */
/*
 * process/pages: what is in a victim's pages, with and without
 * process_vm_readv(), and that reading leaves them as they are.
 */
#include "lib/forked.h"
#include "lib/kit.h"
#include "lib/paged.h"
#include "process/maps.h"
#include "process/pages.h"
#include "sys/fault.h"
#include "tap.h"

static long victim_readable(uintptr_t arg)
{
	char *p = forked_put(0, 4 * MIB, RW, ANON);

	(void)arg;
	madvise(p, 4 * MIB, MADV_NOHUGEPAGE);
	paged_fill(p, 4 * MIB);
	mprotect(p + 16 * PAGE, 8 * PAGE, PROT_NONE);
	munmap(p + 40 * PAGE, 2 * PAGE);
	munmap(p + 300 * PAGE, PAGE);
	return 0;
}

static bool good(const char *buf, uint64_t addr, size_t len)
{
	for (size_t i = 0; i < len; i += 8)
		if (*(const uint64_t *)(buf + i) != addr + i + 1)
			return false;
	return true;
}

static bool zero(const char *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (buf[i])
			return false;
	return true;
}

static void read_some(struct forked *f, enum pages_how how)
{
	static char buf[4 * MIB];
	struct target *t = f->target;

	is_int(pages_read(t, how, AT, buf, 64 * PAGE), 40 * PAGE, "up to what is not mapped");
	ok(good(buf, AT, 40 * PAGE), "with the pages that may not be read (PROT_NONE)");
	is_int(pages_read(t, how, AT + 40 * PAGE, buf, PAGE), -EIO, "nothing there");
	is_int(pages_read(t, how, AT + 41 * PAGE, buf, 2 * PAGE), -EIO, "nor at the first");
	is_int(pages_read(t, how, AT + 42 * PAGE, buf, 258 * PAGE), 258 * PAGE, "exactly");
	ok(good(buf, AT + 42 * PAGE, 258 * PAGE), "good bytes");
	is_int(pages_read(t, how, AT + 17 * PAGE + 8, buf, 16), 16, "within a page");
	ok(good(buf, AT + 17 * PAGE + 8, 16), "good bytes");
	is_int(pages_read(t, how, AT, buf, 0), 0, "no bytes");
	is_int(pages_read(t, how, 0, buf, PAGE), -EIO, "at 0");
	ok(pages_read(t, how, UINT64_MAX - PAGE + 1, buf, PAGE) < 0, "at the end of all");
}

static void gather_some(struct forked *f, enum pages_how how)
{
	static char buf[8 * MIB];
	const struct range v[] = {
		{ AT, AT + 10 * PAGE },                  /* good */
		{ AT + 15 * PAGE, AT + 25 * PAGE },      /* PROT_NONE in the middle */
		{ AT + 39 * PAGE, AT + 43 * PAGE },      /* two pages that are not mapped */
		{ AT + 300 * PAGE, AT + 301 * PAGE },    /* not mapped */
		{ AT + 301 * PAGE, AT + 1024 * PAGE },
		{ AT + 4 * MIB - PAGE, AT + 4 * MIB + PAGE },
	};
	struct ranges bad = RANGES_INIT;

	need(ranges_reserve(&bad, 16) == 0, "memory");
	memset(buf, 0x77, sizeof(buf));
	is_int(pages_gather(f->target, how, v, 6, buf, &bad), 0, "gather");
	ok(good(buf, AT, 10 * PAGE), "first");
	ok(good(buf + 10 * PAGE, AT + 15 * PAGE, 10 * PAGE), "pages that may not be read");
	ok(good(buf + 20 * PAGE, AT + 39 * PAGE, PAGE), "before the hole");
	ok(zero(buf + 21 * PAGE, 2 * PAGE), "the hole is 0");
	ok(good(buf + 23 * PAGE, AT + 42 * PAGE, PAGE), "behind the hole");
	ok(zero(buf + 24 * PAGE, PAGE), "a range that is a hole");
	ok(good(buf + 25 * PAGE, AT + 301 * PAGE, 723 * PAGE), "a long one");
	ok(good(buf + 748 * PAGE, AT + 4 * MIB - PAGE, PAGE), "the last page");
	ok(zero(buf + 749 * PAGE, PAGE), "and what is behind it");
	is_int((unsigned char)buf[750 * PAGE], 0x77, "not a byte more");
	is_int(bad.n, 3, "three ranges cannot be read");
	ok(bad.n == 3 && bad.v[0].start == AT + 40 * PAGE && bad.v[0].end == AT + 42 * PAGE &&
	   bad.v[1].start == AT + 300 * PAGE && bad.v[1].end == AT + 301 * PAGE &&
	   bad.v[2].start == AT + 4 * MIB && bad.v[2].end == AT + 4 * MIB + PAGE, "these");
	is_int(pages_gather(f->target, how, v, 0, buf, &bad), 0, "nothing");
	is_int(pages_gather(f->target, how, v, 6, buf, NULL), 0, "without wanting to know");
	ranges_free(&bad);
}

/* As many single pages as make several calls. */
static void gather_many(struct forked *f, enum pages_how how)
{
	static struct range v[4000];
	static char buf[4000 * PAGE];
	struct ranges bad = RANGES_INIT;
	unsigned wrong = 0;

	for (unsigned i = 0; i < 4000; i++) {
		uint64_t at = AT + (i * 7 % 1024) * PAGE;

		v[i] = (struct range){ at, at + PAGE };
	}
	is_int(pages_gather(f->target, how, v, 4000, buf, &bad), 0, "gather");
	for (unsigned i = 0; i < 4000; i++) {
		bool hole = ranges_has(&bad, v[i].start);

		wrong += hole ? !zero(buf + i * PAGE, PAGE)
			      : !good(buf + i * PAGE, v[i].start, PAGE);
	}
	is_int(wrong, 0, "all pages");
	is_int(ranges_bytes(&bad), 3 * PAGE, "but three");
	ranges_free(&bad);
}

static void test_read(const void *arg)
{
	struct forked f;

	forked_start(&f, *(const char *const *)arg);
	forked_do(&f, victim_readable, 0);
	forked_open(&f);
	for (int how = PAGES_LIVE; how <= PAGES_SHADOW; how++) {
		read_some(&f, how);
		gather_some(&f, how);
		gather_many(&f, how);
	}
	kill(f.pid, SIGKILL);
	waitid(P_PID, (id_t)f.pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
	is_int(pages_read(f.target, PAGES_LIVE, AT, (char[16]){ 0 }, 16), -ESRCH, "of a zombie");
	is_int(pages_gather(f.target, PAGES_LIVE, &(struct range){ AT, AT + PAGE }, 1,
			    (char[PAGE]){ 0 }, NULL), -ESRCH, "gather");
	forked_end(&f);
}

/* Nothing that was not there is there afterwards. */
static void test_reads_touch_nothing(void)
{
	static char buf[64 * PAGE];
	struct ranges there;
	struct forked f;

	forked_start(&f, NULL);
	forked_do(&f, paged_plain, 0);
	forked_open(&f);
	there = paged_scan(&f, 0, 64 * PAGE, NULL);
	is_int(pages_gather(f.target, PAGES_LIVE, there.v, there.n, buf, NULL), 0, "gather");
	is_int(forked_do(&f, paged_is_there, 20), 0, "control: a page that was not there is not");
	paged_there_is(&f, 0, 64 * PAGE, "1-3 10 63");
	ranges_free(&there);
	forked_end(&f);
}

/* The kernel's own mappings. */
static void test_special(void)
{
	struct maps m = MAPS_INIT;
	struct forked f;
	char buf[PAGE];
	unsigned seen = 0;

	forked_start(&f, NULL);
	forked_open(&f);
	need(maps_read(f.target, MAPS_PLAIN, &m, NULL) == 0, "maps");
	for (size_t i = 0; i < m.n; i++) {
		const struct vma *v = &m.v[i];
		int64_t n;

		if (!(v->flags & VMA_SPECIAL))
			continue;
		n = pages_read(f.target, PAGES_LIVE, v->start, buf, PAGE);
		diag("%s: %lld", maps_name(&m, v), (long long)n);
		if (v->flags & VMA_UNREADABLE)
			is_int(n, -EIO, "%s cannot be read", maps_name(&m, v));
		if (strcmp(maps_name(&m, v), "[vdso]") == 0)
			ok(n == (int64_t)PAGE && memcmp(buf, "\177ELF", 4) == 0, "the vdso can");
		seen++;
	}
	ok(seen >= 2, "%u special mappings", seen);
	maps_free(&m);
	forked_end(&f);
}

#ifdef DECANT_FAULTS
static void test_short_reads(void)
{
	struct forked f;

	forked_start(&f, NULL);
	forked_do(&f, victim_readable, 0);
	forked_open(&f);
	sys_fault_arm(&(struct sys_fault_plan){ .mode = SYS_FAULT_SHORT, .nth = 1,
						.repeat = 9999 });
	gather_some(&f, PAGES_LIVE);
	gather_some(&f, PAGES_SHADOW);
	read_some(&f, PAGES_LIVE);
	ok(sys_fault_fired() > 20, "control: calls came short");
	sys_fault_arm(&(struct sys_fault_plan){ .nth = 1, .repeat = 9999, .error = EPERM,
						.name = "process_vm_readv" });
	gather_some(&f, PAGES_LIVE);
	read_some(&f, PAGES_LIVE);
	sys_fault_disarm();
	forked_end(&f);
}
#endif

int main(void)
{
	need_root();
	kit_start(120);
	paged_each(test_read, "reading");
	tap_case("reading touches nothing", test_reads_touch_nothing);
	tap_case("special mappings", test_special);
#ifdef DECANT_FAULTS
	tap_case("short reads", test_short_reads);
#endif
	return done();
}
