/* SPDX-License-Identifier: MIT */
/* process/maps: real mappings, many of them, and a process that is gone. */
#include <fcntl.h>

#include "lib/child.h"
#include "lib/kit.h"
#include "process/maps.h"
#include "process/target.h"
#include "sys/fault.h"
#include "tap.h"

#define RW (VMA_READ | VMA_WRITE)

static struct caps *caps;

static struct target *victim_open(pid_t pid)
{
	struct target *t = NULL;
	struct err e = { "" };

	if (!caps)
		need(caps_create(&caps, NULL, &e) == 0, "caps: %s", e.text);
	need(target_open(&t, pid, caps, &e) == 0, "%s", e.text);
	return t;
}

static void victim_end(struct target *t)
{
	pid_t pid = t->pid;

	target_close(t);
	child_end(pid);
	caps_destroy(caps);
	caps = NULL;
}

#define AT ((char *)0x200000000000)

static void *put(size_t at, size_t len, int prot, int flags, int fd)
{
	void *p = mmap(AT + at, len, prot, flags | MAP_FIXED, fd, 0);

	if (p == MAP_FAILED)
		_exit(9);
	return p;
}

static void victim_mixed(void)
{
	const int rw = PROT_READ | PROT_WRITE, anon = MAP_PRIVATE | MAP_ANONYMOUS;
	int fd = memfd_create("a\nb", 0);

	*(char *)put(0x0000, 4096, rw, anon, -1) = 1;
	put(0x10000, 4096, PROT_READ, anon, -1);
	*(char *)put(0x20000, 8192, rw, MAP_SHARED | MAP_ANONYMOUS, -1) = 1;
	madvise(put(0x30000, 4096, rw, anon, -1), 4096, MADV_DONTDUMP);
	madvise(put(0x40000, 4096, rw, anon, -1), 4096, MADV_DONTFORK);
	madvise(put(0x50000, 4096, rw, anon, -1), 4096, MADV_WIPEONFORK);
	if (ftruncate(fd, 4096) < 0)
		_exit(9);
	put(0x60000, 4096, rw, MAP_SHARED, fd);
}

static void check_vma(const struct maps *m, size_t at, uint64_t len, uint32_t flags,
		      const char *name)
{
	const struct vma *v = maps_find(m, (uint64_t)(uintptr_t)AT + at);

	need(v, "mapping at %zx", at);
	is_int(v->end - v->start, len, "length at %zx", at);
	is_int(v->flags, flags, "flags at %zx", at);
	is_str(maps_name(m, v), name, "name at %zx", at);
}

static void test_real(void)
{
	struct target *t = victim_open(child_of(victim_mixed));
	struct maps m = MAPS_INIT, plain = MAPS_INIT;
	const uint32_t k = VMA_KNOWN, mem = VMA_FILE | VMA_SHARED | VMA_DELETED;
	unsigned names = 0;
	struct err e;

	is_int(maps_read(t, MAPS_SMAPS, &m, &e), 0, "smaps");
	check_vma(&m, 0, 4096, RW | k | VMA_ANON, "");
	check_vma(&m, 0x10000, 4096, VMA_READ | k, "");
	check_vma(&m, 0x20000, 8192, RW | k | mem, "/dev/zero (deleted)");
	check_vma(&m, 0x30000, 4096, RW | k | VMA_DONTDUMP, "");
	check_vma(&m, 0x40000, 4096, RW | k | VMA_DONTFORK, "");
	check_vma(&m, 0x50000, 4096, RW | k | VMA_WIPEONFORK, "");
	check_vma(&m, 0x60000, 4096, RW | k | mem, "/memfd:a\nb (deleted)");
	is_int(maps_read(t, MAPS_PLAIN, &plain, &e), 0, "maps");
	is_int(plain.n, m.n, "as many");
	maps_adopt(&plain, &m);
	for (size_t i = 0; i < plain.n && i < m.n; i++) {
		ok(plain.v[i].start == m.v[i].start && plain.v[i].end == m.v[i].end, "the same");
		is_int(plain.v[i].flags, m.v[i].flags, "what smaps said is taken over: %s",
		       maps_name(&m, &m.v[i]));
		names += (m.v[i].flags & (VMA_STACK | VMA_HEAP | VMA_SPECIAL)) != 0;
	}
	ok(names >= 3, "stack, vdso, vvar are known by their names");
	maps_free(&m);
	maps_free(&plain);
	victim_end(t);
}

static size_t many;

static void victim_many(void)
{
	for (size_t i = 0; i < many; i++)
		put(i * 4096, 4096, i % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static void time_read(const struct target *t, enum maps_how how, struct maps *m)
{
	uint64_t best = UINT64_MAX, before;
	struct err e;

	for (int i = 0; i < 5; i++) {
		before = kit_now_ns();
		need(maps_read(t, how, m, &e) == 0, "%s", e.text);
		before = kit_now_ns() - before;
		best = before < best ? before : best;
	}
	diag("%zu mappings, %s: %llu us", m->n, how == MAPS_PLAIN ? "maps" : "smaps",
	     (unsigned long long)best / 1000);
}

static void test_many(void)
{
	char text[32] = "";
	int fd = open("/proc/sys/vm/max_map_count", O_RDONLY);
	struct maps m = MAPS_INIT;
	struct target *t;
	uint64_t before;

	need(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0, "max_map_count");
	many = strtoul(text, NULL, 10);
	many = (many < 66000 ? many : 66000) - 500;
	t = victim_open(child_of(victim_many));
	time_read(t, MAPS_PLAIN, &m);
	ok(m.n >= many && m.n < many + 200, "%zu mappings", m.n);
	before = kit_now_ns();
	is_int(maps_parse(buf_str(&m.text), MAPS_PLAIN, &m), 0, "parsed once more");
	diag("of it our parser: %llu us", (unsigned long long)(kit_now_ns() - before) / 1000);
	for (size_t i = 0; i < many; i++)
		if (!maps_find(&m, (uint64_t)(uintptr_t)AT + i * 4096))
			bail("mapping %zu is not there", i);
#ifdef DECANT_FAULTS
	sys_fault_arm(&(struct sys_fault_plan){ .nth = 1, .repeat = 100000, .name = "realloc" });
	is_int(maps_read(t, MAPS_PLAIN, &m, NULL), 0, "the second time it asks for no memory");
	is_int(sys_fault_fired(), 0, "really");
	sys_fault_disarm();
#endif
	time_read(t, MAPS_SMAPS, &m);
	maps_free(&m);
	victim_end(t);
}

#ifdef DECANT_FAULTS
static void test_faults(void)
{
	struct target *t = victim_open(child_of(victim_mixed));
	unsigned long n;

	for (n = 1; n < 200; n++) {
		struct maps m = MAPS_INIT;
		struct err e = { "" };
		int r;

		sys_fault_arm(&(struct sys_fault_plan){ .nth = n });
		r = maps_read(t, MAPS_PLAIN, &m, &e);
		sys_fault_disarm();
		ok(r == 0 || (e.text[0] && m.n == 0), "call %lu: %d %s", n, r, e.text);
		maps_free(&m);
		if (sys_fault_fired() == 0)
			break;
		ok(r < 0, "call %lu (%s) failed and so does it", n, sys_fault_fired_name());
	}
	ok(n > 3 && n < 200, "%lu calls", n - 1);
	victim_end(t);
}
#endif

static void test_gone(void)
{
	struct target *t = victim_open(child_of(victim_mixed));
	struct maps m = MAPS_INIT;
	struct err e;

	kill(t->pid, SIGKILL);
	waitid(P_PID, (id_t)t->pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
	is_int(maps_read(t, MAPS_PLAIN, &m, &e), -ESRCH, "of a zombie");
	waitpid(t->pid, NULL, 0);
	is_int(maps_read(t, MAPS_PLAIN, &m, &e), -ESRCH, "of none: %s", e.text);
	maps_free(&m);
	target_close(t);
	caps_destroy(caps);
}

int main(void)
{
	kit_start(120);
	tap_case("real mappings", test_real);
	tap_case("65,000 mappings", test_many);
	tap_case("of a process that is gone", test_gone);
#ifdef DECANT_FAULTS
	tap_case("every call fails once", test_faults);
#endif
	return done();
}
