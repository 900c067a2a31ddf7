/* SPDX-License-Identifier: MIT */
/*
 * Targets that the stop cannot have at once or at all: it says why, and lets go
 * of every thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/child.h"
#include "lib/kit.h"
#include "lib/still.h"
#include "lib/stopper.h"
#include "lib/victims.h"
#include "tap.h"

/* ------------------------------------------------------------- what is late */

static void *gap_thread(void *arg)
{
	(void)arg;
	for (;;) {
		uint64_t t = kit_now_ns();
		long us;

		kit_sleep_ms(1);
		us = (long)((kit_now_ns() - t) / 1000);
		if (us > atomic_load(&shared->gap_us))
			atomic_store(&shared->gap_us, us);
		atomic_fetch_add(&shared->rounds, 1);
	}
	return NULL;
}

static void vfork_victim(void)
{
	pthread_t t;

	(void)pthread_create(&t, NULL, gap_thread, NULL);
	for (;;) {
		pid_t pid = vfork();

		if (pid == 0) {
			atomic_store(&shared->ready, 1);
			usleep(300000);
			_exit(0);
		}
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			atomic_fetch_add(&shared->wrong, 1);
		atomic_store(&shared->ready, 2);
		usleep(100000);
	}
}

static void test_vfork(void)
{
	pid_t pid = child_begin(vfork_victim);
	struct still o;
	struct stopper k;
	int r = 0;

	/* target_open() refuses while the child runs. */
	while (atomic_load(&shared->ready) != 2)
		kit_sleep_ms(1);
	still_open(&k, &o, pid);
	k.timeout_ns = 15000000;
	kit_sleep_ms(10);
	is_int(stopper_run(&k, 1, 100), 0, "between two of them: %s", k.err.text);
	while (stopper_state(pid, pid) != 'D')
		kit_sleep_ms(1);
	atomic_store(&shared->gap_us, 0);
	for (int i = 0; i < 3; i++) {
		r = stopper_once(&k);
		is_int(r, -ETIMEDOUT, "in vfork");
		ok(strstr(k.err.text, "vfork"), "%s", k.err.text);
		ok(child_is_free(pid), "let go at once");
		ok(child_goes_on(1000), "the other thread goes on");
	}
	if (!kit_slow_build())
		ok(shared->gap_us < 80000, "it stood for %ld us at most", shared->gap_us);
	is_int(stopper_run(&k, 20, 30000), 0, "tried again until it works: %s", k.err.text);
	ok(k.late > 0, "control: %u were late", k.late);
	still_says(&o, 20);
	is_int(shared->wrong, 0, "no harm");
	stopper_close(&k);
	child_end(pid);
}

static bool put(const char *dir, const char *name, const char *text)
{
	char path[200];
	bool good;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY);
	good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return good;
}

struct freezer {
	const char *root, *file, *freeze, *thaw;
	int result;               /* of a stop of a frozen one */
};

static void freezer_case(const void *arg)
{
	const struct freezer *f = arg;
	char dir[160], number[16];
	struct still o;
	struct stopper k;
	pid_t pid;

	snprintf(dir, sizeof(dir), "%s/decant-test-%d", f->root, getpid());
	if (mkdir(dir, 0700) != 0)
		skip("no freezer at %s", f->root);
	pid = child_begin(child_rounds);
	snprintf(number, sizeof(number), "%d", pid);
	if (!put(dir, "cgroup.procs", number) || !put(dir, f->file, f->freeze)) {
		child_end(pid);
		(void)rmdir(dir);
		skip("%s does not freeze", f->root);
	}
	kit_sleep_ms(50);
	ok(!child_goes_on(100), "control: it is frozen");
	still_open(&k, &o, pid);
	k.timeout_ns = 20000000;
	for (int i = 0; i < 5; i++) {
		is_int(stopper_once(&k), f->result, "a stop of it: %s", k.err.text);
		if (f->result)
			ok(strstr(k.err.text, "frozen"), "says why");
		ok(child_is_free(pid), "let go");
	}
	ok(!child_goes_on(100), "it still is frozen");
	ok(put(dir, f->file, f->thaw), "thaw");
	ok(child_goes_on(2000), "it goes on then");
	is_int(stopper_run(&k, 5, 1000), 0, "and can be stopped: %s", k.err.text);
	still_says(&o, 5);
	stopper_close(&k);
	child_end(pid);
	for (int i = 0; i < 1000 && rmdir(dir) != 0; i++)
		kit_sleep_ms(1);
}

/* ----------------------------------------------------------------- refusals */

static void test_traced(void)
{
	pid_t pid = child_begin(child_rounds), rival;
	char want[32];
	struct stopper k;
	int status;

	stopper_open(&k, pid);
	rival = fork();
	if (rival == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0)
			atomic_store(&shared->ready, 2);
		for (;;)
			pause();
	}
	while (atomic_load(&shared->ready) != 2)
		kit_sleep_ms(1);
	is_int(stopper_once(&k), -EBUSY, "traced by another");
	snprintf(want, sizeof(want), "by PID %d", rival);
	ok(strstr(k.err.text, want), "%s", k.err.text);
	ok(child_goes_on(1000), "no harm");
	kill(rival, SIGKILL);
	(void)waitpid(rival, &status, 0);
	is_int(stopper_run(&k, 3, 100), 0, "then it can be: %s", k.err.text);
	stopper_close(&k);
	child_end(pid);
}

/* A thread that has jumped into a 32-bit code segment. */
static void narrow_victim(void)
{
	unsigned char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	pthread_t t;

	if (code == MAP_FAILED)
		_exit(1);
	memcpy(code, "\xeb\xfe", 2); /* jmp . */
	(void)pthread_create(&t, NULL, gap_thread, NULL);
	atomic_store(&shared->ready, 1);
	__asm__ volatile("pushq $0x23; pushq %0; lretq" : : "r"(code) : "memory");
}

static void test_narrow(void)
{
	pid_t pid = child_begin(narrow_victim);
	struct stopper k;

	kit_sleep_ms(20);
	stopper_open(&k, pid);
	for (int i = 0; i < 5; i++) {
		is_int(stopper_once(&k), -ENOTSUP, "32-bit code");
		ok(strstr(k.err.text, "32-bit"), "%s", k.err.text);
		ok(child_is_free(pid) && child_goes_on(1000), "it goes on");
	}
	stopper_close(&k);
	child_end(pid);
}

static int ns_look(struct stopper *k, void *arg)
{
	*(pid_t *)arg = k->stop.threads[0].ns_tid;
	return 0;
}

static void test_namespace(void)
{
	pid_t ns_tid = 0;
	struct stopper k;
	struct victim v;

	victim_begin(&v, 0, "life threads --n 3 --as-init");
	stopper_open(&k, v.pid);
	k.look = ns_look;
	k.look_arg = &ns_tid;
	is_int(stopper_run(&k, 20, 1000), 0, "stops: %s", k.err.text);
	is_int(ns_tid, 1, "the leader's id as it sees it");
	is_str(victim_harm(&v), NULL, "no harm");
	stopper_close(&k);
	victim_end(&v);
}

int main(void)
{
	static const struct freezer freezers[] = {
		{ "/sys/fs/cgroup/freezer", "freezer.state", "FROZEN", "THAWED", -ETIMEDOUT },
		{ "/sys/fs/cgroup/unified", "cgroup.freeze", "1", "0", 0 },
	};

	kit_start(240);
	tap_case("vfork: let go, and tried again", test_vfork);
	for (unsigned i = 0; i < sizeof(freezers) / sizeof(freezers[0]); i++)
		kit_case(freezer_case, &freezers[i], "frozen by %s", freezers[i].root);
	tap_case("traced by another", test_traced);
	tap_case("32-bit code", test_narrow);
	tap_case("another pid namespace", test_namespace);
	return done();
}
