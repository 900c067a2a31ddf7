/* SPDX-License-Identifier: MIT */
/* caps/: the mask, and the facts of this machine and of barer ones. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include "caps/caps.h"
#include "lib/facts.h"
#include "lib/leak.h"
#include "sys/fault.h"
#include "tap.h"

/* --------------------------------------------------------------------- mask */

static void test_mask(void)
{
	struct caps *c = facts_masked("vmsplice,splice");

	is_int(caps_state(c, FACT_VMSPLICE_SHARES), FACT_UNKNOWN, "no vmsplice promises nothing");
	is_int(caps_state(c, FACT_SPLICE_SHARES), FACT_UNKNOWN, "nor does no splice");
	is_str(caps_why(c, FACT_SPLICE_SHARES), "needs splice: masked", "and says why");
	is_int(caps_denies(c, FACT_SPLICE_SHARES), false, "unknown denies nothing");
	is_int(caps_denies(c, FACT_SPLICE), false, "masked denies nothing");
	is_int(caps_denies(c, FACT_TEE), caps_state(c, FACT_TEE) == FACT_NO, "found out");
	caps_destroy(c);
	c = facts_masked(" io_uring,\ttee ,, memlock,tee,");

	for FACTS_EACH(f) {
		bool off = f == FACT_IO_URING || f == FACT_TEE || f == FACT_MEMLOCK;

		is_int(caps_masked(c, f), off, "%s: masked", caps_name(f));
	}
	is_int(caps_state(c, FACT_TEE), FACT_NO, "a masked fact is no");
	is_str(caps_why(c, FACT_TEE), "masked", "and says why");
	is_int(caps_value(c, FACT_MEMLOCK), 0, "and has no value");
	is_int(caps_state(c, FACT_SEND_ZC), FACT_NO, "what needs it is no, too");
	is_str(caps_why(c, FACT_SEND_ZC), "needs io_uring: masked", "and says that");
	is_int(caps_masked(c, FACT_SEND_ZC), false, "but was not masked itself");
	is_int(caps_state(c, FACT_PIPE_SIZE), FACT_YES, "others are as they are");
	is_int(caps_masked(c, FACT_MAX), false, "no such fact");
	is_int(caps_state(c, FACT_MAX), FACT_UNKNOWN, "is unknown");
	is_str(caps_name(FACT_MAX), "none", "and has a name all the same");
	caps_destroy(c);
	caps_destroy(NULL);
	caps_destroy(facts_masked(""));
}

static void refused_is(const char *mask, const char *named)
{
	struct caps *c = NULL;
	struct err e = { "" };
	char want[60];

	is_int(caps_create(&c, mask, &e), -EINVAL, "\"%s\" is refused", mask);
	ok(c == NULL, "and *ret is left alone");
	snprintf(want, sizeof(want), "mask: \"%s\" is not a fact; facts are io_uring, ", named);
	ok(strncmp(e.text, want, strlen(want)) == 0, "the sentence: %s", e.text);
	is_int(caps_create(&c, mask, NULL), -EINVAL, "without a place for it");
}

static void test_mask_refused(void)
{
	struct err e = { "" };
	struct caps *c = NULL;
	char longer[500];

	refused_is("foo", "foo");
	refused_is("io_uring,foo", "foo");
	refused_is("IO_URING", "IO_URING");
	refused_is("io_urin", "io_urin");
	refused_is("io_uringx", "io_uringx");
	refused_is("none", "none");
	refused_is("io uring", "io uring");
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	is_int(caps_create(&c, longer, &e), -EINVAL, "a very long name");
	ok(strstr(e.text, "facts are io_uring, "), "the list is in the sentence: %s", e.text);
	ok(strlen(e.text) > 3 && !strcmp(e.text + strlen(e.text) - 3, "..."), "cut at a name");
}

/* -------------------------------------------------------------------- facts */

static void test_names(void)
{
	char mask[1024] = "";
	struct caps *c;

	for FACTS_EACH(f) {
		ok(caps_name(f)[0] && strlen(caps_name(f)) < 32, "a name that fits");
		ok(caps_what(f)[0] && strlen(caps_what(f)) < 96, "what: fits: %s", caps_what(f));
		for (enum fact g = FACT_NONE; g < f; g++)
			ok(strcmp(caps_name(f), caps_name(g)) != 0, "names differ");
		strcat(strcat(mask, caps_name(f)), ",");
	}
	c = facts_masked(mask);
	for FACTS_EACH(f)
		is_str(caps_why(c, f), "masked", "%s: every fact can be masked", caps_name(f));
	caps_destroy(c);
}

static void test_known(void)
{
	struct caps *c = facts_masked(NULL);
	char first[200];

	for FACTS_EACH(f) {
		enum fact_state s = caps_state(c, f);

		diag("%s: %s, %llu, %s", caps_name(f), facts_state(s),
		     (unsigned long long)caps_value(c, f), caps_why(c, f));
		ok(s == FACT_YES || s == FACT_NO, "%s: is known", caps_name(f));
		is_int(caps_has(c, f), s == FACT_YES, "%s: has", caps_name(f));
		is_int(caps_denies(c, f), s == FACT_NO, "%s: denies", caps_name(f));
		ok(caps_why(c, f)[0], "%s: why", caps_name(f));
		ok(s != FACT_NO || caps_value(c, f) == 0, "%s: no value without it", caps_name(f));
		snprintf(first, sizeof(first), "%s", caps_why(c, f));
		is_int(caps_state(c, f), s, "%s: asked again, the same", caps_name(f));
		is_str(caps_why(c, f), first, "%s: and the same reason", caps_name(f));
	}
	caps_destroy(c);
}

/* Against what is seen here without the probes. */
static void test_true(void)
{
	struct caps *c = facts_masked(NULL);
	struct rlimit limit;
	int fds[2], fd;
	char byte;

	need(getrlimit(RLIMIT_MEMLOCK, &limit) == 0, "getrlimit");
	is_int(caps_value(c, FACT_MEMLOCK), limit.rlim_cur, "memlock");
	limit.rlim_cur = 65536;
	need(setrlimit(RLIMIT_MEMLOCK, &limit) == 0, "setrlimit");
	is_int(caps_value(c, FACT_MEMLOCK) == 65536, false, "asked once only");
	caps_destroy(c);
	c = facts_masked(NULL);
	is_int(caps_value(c, FACT_MEMLOCK), 65536, "another one asks anew");

	need(pipe2(fds, O_CLOEXEC) == 0, "pipe");
	is_int(fcntl(fds[1], F_SETPIPE_SZ, (int)caps_value(c, FACT_PIPE_SIZE)),
	       caps_value(c, FACT_PIPE_SIZE), "a pipe of that size can be had");
	close(fds[0]);
	close(fds[1]);

	/* vmsplice: is the page shared? */
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec iov = { page, 4096 };

	need(pipe2(fds, O_CLOEXEC) == 0, "pipe");
	page[0] = 'x';
	if (vmsplice(fds[1], &iov, 1, 0) == 4096) {
		page[0] = 'y';
		need(read(fds[0], &byte, 1) == 1, "read");
		is_int(caps_has(c, FACT_VMSPLICE_SHARES), byte == 'y', "vmsplice shares");
	} else {
		is_int(caps_has(c, FACT_VMSPLICE), false, "no vmsplice");
	}
	close(fds[0]);
	close(fds[1]);
	munmap(page, 4096);

	fd = open(".", O_TMPFILE | O_RDWR | O_DIRECT, 0600);
	if (fd >= 0 && caps_has(c, FACT_O_DIRECT)) {
		uint64_t align = caps_value(c, FACT_O_DIRECT);
		char *buf = aligned_alloc(4096, 16384);

		memset(buf, 'x', 16384);
		ok(align >= 1 && align <= 65536 && (align & (align - 1)) == 0, "a power of two");
		is_int(pwrite(fd, buf, align, align), align, "a write at that alignment works");
		free(buf);
	}
	if (fd >= 0)
		close(fd);
	caps_destroy(c);
}

/* ----------------------------------------------------------- other machines */

/* File systems and namespaces of this case only. */
static void test_bare_namespace(void)
{
	struct caps *c;

	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0)
		skip("needs root");
	c = facts_masked(NULL);
	ok(caps_state(c, FACT_SEND_ZC) != FACT_UNKNOWN, "send_zc: %s", caps_why(c, FACT_SEND_ZC));
	is_int(caps_has(c, FACT_SEND_ZC), caps_has(c, FACT_IO_URING), "found without loopback: %s",
	       caps_why(c, FACT_SEND_ZC));
	ok(strstr(caps_why(c, FACT_MSG_ZEROCOPY), "loopback"), "says what was not tried: %s",
	   caps_why(c, FACT_MSG_ZEROCOPY));
	caps_destroy(c);
}

/* Our own program may lie where the kernel cannot do it: overlayfs, 9p. */
static bool program_takes_nowait(void)
{
	char byte;
	struct iovec v = { &byte, 1 };
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ssize_t n = preadv2(fd, &v, 1, 0, RWF_NOWAIT);
	bool takes = n >= 0 || errno == EAGAIN;

	close(fd);
	return takes;
}

static void on_file_system(const char *type, const char *fact_no, enum fact f)
{
	struct caps *c;
	char dir[] = "./caps-XXXXXX", path[4096], cwd[2048];

	if (unshare(CLONE_NEWNS) < 0)
		skip("needs root");
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private mounts");
	need(mkdtemp(dir) && getcwd(cwd, sizeof(cwd)), "directory");
	need(mount("caps", dir, type, 0, NULL) == 0, "mount %s", type);
	snprintf(path, sizeof(path), "%s/%s", cwd, dir);
	setenv("TMPDIR", path, 1);
	c = facts_masked(NULL);
	for FACTS_EACH(g)
		ok(caps_state(c, g) != FACT_UNKNOWN, "%s: known on %s: %s", caps_name(g), type,
		   caps_why(c, g));
	is_int(caps_state(c, f), FACT_NO, "no %s on %s: %s", fact_no, type, caps_why(c, f));
	is_int(caps_state(c, FACT_FILE_NOWAIT), program_takes_nowait() ? FACT_YES : FACT_NO,
	       "RWF_NOWAIT is found elsewhere: %s", caps_why(c, FACT_FILE_NOWAIT));
	caps_destroy(c);
	ok(rmdir(dir) < 0 && errno == EBUSY, "control: it is mounted");
	is_int(umount(dir), 0, "nothing holds the file system");
	is_int(rmdir(dir), 0, "and the directory can go");
}

static void test_tmpfs(void)
{
	on_file_system("tmpfs", "reflink", FACT_REFLINK);
}

static void test_ramfs(void)
{
	on_file_system("ramfs", "reflink", FACT_REFLINK);
}

static void test_no_tmpdir(void)
{
	struct caps *c;

	setenv("TMPDIR", "/nonexistent", 1);
	c = facts_masked(NULL);
	is_int(caps_state(c, FACT_REFLINK), FACT_UNKNOWN, "reflink cannot be tried: %s",
	       caps_why(c, FACT_REFLINK));
	ok(strstr(caps_why(c, FACT_REFLINK), "/nonexistent"), "the sentence names the place");
	is_int(caps_state(c, FACT_SPLICE), FACT_YES, "splice can: %s", caps_why(c, FACT_SPLICE));
	is_int(caps_has(c, FACT_REFLINK), false, "unknown is not yes");
	is_int(caps_state(c, FACT_SPLICE_DIRECT), FACT_UNKNOWN, "what needs it is unknown");
	caps_destroy(c);
}

/* No more descriptors: nothing may come out as a no. */
static void test_no_fds(void)
{
	struct rlimit before, limit;
	struct caps *c = facts_masked(NULL);

	need(getrlimit(RLIMIT_NOFILE, &before) == 0, "getrlimit");
	limit = before;
	limit.rlim_cur = 0; /* for new ones */
	need(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
	for FACTS_EACH(f) {
		if (f == FACT_PROCESS_VM || f == FACT_MEMLOCK)
			continue;
		is_int(caps_state(c, f), FACT_UNKNOWN, "%s: %s", caps_name(f), caps_why(c, f));
	}
	need(setrlimit(RLIMIT_NOFILE, &before) == 0, "setrlimit");
	caps_destroy(c);
}

/* ------------------------------------------------------------------ threads */

#define THREADS 8

struct asker {
	struct caps *c;
	pthread_barrier_t *start;
	unsigned first;
	const char *why[FACT_MAX];
	enum fact_state state[FACT_MAX];
};

static void *asker_run(void *arg)
{
	struct asker *a = arg;

	pthread_barrier_wait(a->start);
	for (unsigned i = 0; i < FACT_MAX; i++) {
		enum fact f = (enum fact)((a->first + i) % FACT_MAX);

		a->state[f] = caps_state(a->c, f);
		a->why[f] = caps_why(a->c, f);
	}
	return NULL;
}

static void test_threads(void)
{
	struct asker askers[THREADS] = { 0 };
	struct caps *c = facts_masked(NULL);
	pthread_barrier_t start;
	pthread_t t[THREADS];

#ifdef DECANT_FAULTS
	sys_fault_arm(&(struct sys_fault_plan){ .nth = 0, .name = "uring_init" });
#endif
	pthread_barrier_init(&start, NULL, THREADS);
	for (unsigned i = 0; i < THREADS; i++) {
		askers[i] = (struct asker){ .c = c, .start = &start, .first = i * 3 };
		need(pthread_create(&t[i], NULL, asker_run, &askers[i]) == 0, "thread");
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	for FACTS_EACH(f)
		for (unsigned i = 1; i < THREADS; i++) {
			is_int(askers[i].state[f], askers[0].state[f], "%s: one answer",
			       caps_name(f));
			ok(askers[i].why[f] == askers[0].why[f], "%s: one text",
			   caps_name(f));
		}
#ifdef DECANT_FAULTS
	/* One each for io_uring, send_zc and send_zc_report, if all are there. */
	if (caps_has(c, FACT_SEND_ZC))
		is_int(sys_fault_calls(), 3, "each was tried once");
	sys_fault_disarm();
#endif
	pthread_barrier_destroy(&start);
	caps_destroy(c);
}

/* ------------------------------------------------------ nothing left behind */

static void test_leaves_nothing(void)
{
	struct leak before;
	const char *left;
	struct caps *c;
	int fd;

	caps_destroy(facts_masked(NULL));
	leak_take(&before);
	fd = open("/dev/null", O_RDONLY);
	ok(leak_since(&before, 0) != NULL, "control: an open descriptor is seen");
	close(fd);
	c = facts_masked(NULL);
	for FACTS_EACH(f)
		(void)caps_state(c, f);
	left = leak_since(&before, 2000);
	ok(!left, "probing leaves nothing: %s", left ? left : "");
	caps_destroy(c);
}

int main(void)
{
	tap_case("mask", test_mask);
	tap_case("masks that are refused", test_mask_refused);
	tap_case("names", test_names);
	tap_case("every fact is known here", test_known);
	tap_case("facts are true", test_true);
	tap_case("without loopback", test_bare_namespace);
	tap_case("on tmpfs", test_tmpfs);
	tap_case("on ramfs", test_ramfs);
	tap_case("without a temporary directory", test_no_tmpdir);
	tap_case("without descriptors", test_no_fds);
	tap_case("threads that ask at once", test_threads);
	tap_case("nothing is left behind", test_leaves_nothing);
	return done();
}
