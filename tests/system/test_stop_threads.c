/* SPDX-License-Identifier: MIT */
/*
 * The stop has all threads, whatever they do meanwhile, and when it cannot have
 * one it lets go of all.  The oracle is /proc: while the stop stands, no task
 * of the target may be in another state than tracing stop.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/kit.h"
#include "lib/stopper.h"
#include "lib/victims.h"
#include "sys/fault.h"
#include "tap.h"

/* -------------------------------------------------------------- the oracle */

struct oracle {
	unsigned threads, zombies; /* that /proc listed */
	unsigned moving;           /* not in a stop */
	unsigned missing;          /* not in the table */
	unsigned stops;
	pid_t first;
};

static bool oracle_knows(const struct stop *s, pid_t tid)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->threads[i].tid == tid)
			return s->threads[i].stopped;
	return false;
}

static int oracle_look(struct stopper *k, void *arg)
{
	struct oracle *o = arg;
	char path[64];
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", k->target->pid);
	dir = opendir(path);
	o->threads = o->zombies = 0;
	while (dir && (e = readdir(dir))) {
		pid_t tid = atoi(e->d_name);
		char state = tid > 0 ? stopper_state(k->target->pid, tid) : 't';

		o->threads += tid > 0;
		o->zombies += state == 'Z';
		o->moving += state != 't' && state != 'Z';
		o->missing += tid > 0 && state != 'Z' && !oracle_knows(&k->stop, tid);
	}
	if (dir)
		closedir(dir);
	o->first = k->stop.threads[0].tid;
	o->stops++;
	return 0;
}

static void oracle_open(struct stopper *k, struct oracle *o, pid_t pid)
{
	*o = (struct oracle){ 0 };
	stopper_open(k, pid);
	k->look = oracle_look;
	k->look_arg = o;
}

static void oracle_says(const struct oracle *o, unsigned stops)
{
	is_int(o->moving, 0, "no thread moved in a stop");
	is_int(o->missing, 0, "no thread was missing");
	ok(o->stops >= stops, "%u stops", o->stops);
}

/* ------------------------------------------------------------ many threads */

static int count_look(struct stopper *k, void *arg)
{
	*(size_t *)arg = k->stop.n;
	return 0;
}

static void many_case(const void *arg)
{
	unsigned n = *(const unsigned *)arg;
	size_t seen = 0;
	struct oracle o;
	struct stopper k;
	struct victim v;

	victim_begin(&v, 0, "life threads --n %u", n);
	oracle_open(&k, &o, v.pid);
	k.timeout_ns = UINT64_C(5000000000);
	is_int(stopper_run(&k, 3, 1000), 0, "stops: %s", k.err.text);
	oracle_says(&o, 3);
	ok(o.threads >= n, "%u threads", o.threads);
	is_int(o.first, v.pid, "the leader comes first");
	k.look = count_look;
	k.look_arg = &seen;
	k.stops = 0;
	k.pause_min_ns = k.pause_max_ns = k.pauses_ns = 0;
	is_int(stopper_run(&k, 20, 2000), 0, "stops: %s", k.err.text);
	is_int(seen, o.threads, "all of them, again");
	diag("%zu threads: pause %llu us, %llu to %llu us", seen,
	     (unsigned long long)k.pauses_ns / k.stops / 1000,
	     (unsigned long long)k.pause_min_ns / 1000,
	     (unsigned long long)k.pause_max_ns / 1000);
	/* The shortest, for others use this machine too. */
	if (!kit_slow_build())
		ok(k.pause_min_ns < UINT64_C(1000000) + n * UINT64_C(60000),
		   "the pause grows with the threads, not with their square");
	is_str(victim_harm(&v), NULL, "no harm");
	stopper_close(&k);
	victim_end(&v);
}

static void test_control(void)
{
	struct oracle o;
	struct stopper k;
	struct victim v;

	victim_begin(&v, 0, "life threads --n 3");
	oracle_open(&k, &o, v.pid);
	is_int(stopper_run(&k, 1, 0), 0, "stop: %s", k.err.text);
	is_int(o.moving, 0, "nobody moves in the stop");
	(void)oracle_look(&k, &o);
	ok(o.moving > 0 && o.missing > 0, "control: the oracle sees those that do");
	stopper_close(&k);
	victim_end(&v);
}

static void test_ending(void)
{
	struct oracle o;
	struct stopper k;
	struct victim v;

	victim_begin(&v, VICTIM_THREADS | VICTIM_MAPS, "life ending --n 8");
	oracle_open(&k, &o, v.pid);
	is_int(stopper_run(&k, 400, 300), 0, "stops: %s", k.err.text);
	oracle_says(&o, 400);
	diag("late: %u, pause %llu us", k.late,
	     (unsigned long long)k.pauses_ns / k.stops / 1000);
	is_str(victim_harm(&v), NULL, "no harm");
	stopper_close(&k);
	victim_end(&v);
}

static void test_dead_leader(void)
{
	struct oracle o;
	struct stopper k;
	struct victim v;

	victim_begin(&v, 0, "life leader --n 4 --ms 3");
	oracle_open(&k, &o, v.pid);
	ok(k.target->leader_dead, "control: the leader is dead");
	is_int(stopper_run(&k, 100, 1000), 0, "stops: %s", k.err.text);
	oracle_says(&o, 100);
	is_int(o.zombies, 1, "control: it is there");
	is_int(k.stop.n, 4, "and left out");
	is_str(victim_harm(&v), NULL, "no harm");
	stopper_close(&k);
	victim_end(&v);
}

/* ------------------------------------------------------------- own victims */

struct shared {
	_Atomic int ready, rounds, wrong;
	_Atomic long gap_us;
};

static struct shared *shared;
static int shared_fd;
static char own_path[400]; /* not /proc/self/exe: that needs a leader that lives */

static void *own_sleeper(void *arg)
{
	(void)arg;
	for (;;)
		kit_sleep_ms(1);
	return NULL;
}

static pid_t own_begin(void (*fn)(void))
{
	pid_t pid;

	shared_fd = memfd_create("shared", 0); /* it stays open over exec */
	need(shared_fd >= 0 && ftruncate(shared_fd, 4096) == 0, "memfd");
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, shared_fd, 0);
	need(shared != MAP_FAILED, "mmap");
	pid = fork();
	need(pid >= 0, "fork");
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		fn();
		_exit(1);
	}
	for (int i = 0; i < 5000 && !atomic_load(&shared->ready); i++)
		kit_sleep_ms(1);
	need(atomic_load(&shared->ready), "the victim starts");
	return pid;
}

static void own_end(pid_t pid)
{
	kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

static bool own_goes_on(unsigned ms)
{
	int before = atomic_load(&shared->rounds);

	for (unsigned i = 0; i <= ms; i++, kit_sleep_ms(1))
		if (atomic_load(&shared->rounds) > before + 1)
			return true;
	return false;
}

/* Is nobody tracing it, and does it not stand? */
static bool own_is_free(pid_t pid)
{
	char text[4096], path[64];
	const char *line;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "r");
	if (!f)
		return false;
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	(void)fclose(f);
	line = strstr(text, "TracerPid:\t0\n");
	return line && stopper_state(pid, pid) != 't';
}

/* -------------------------------------------------------- threads at work */

static void *own_pauser(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

static void worker_victim(void)
{
	pthread_attr_t attr;
	pthread_t t;

	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, 65536);
	for (int i = 0; i < 300; i++)
		(void)pthread_create(&t, &attr, own_pauser, NULL);
	atomic_store(&shared->ready, 1);
	for (;;)
		atomic_fetch_add(&shared->rounds, 1);
}

struct times {
	uint64_t busy_ns, all_ns; /* shortest */
	unsigned wrong;
};

/* The thread at work is the leader; all others do nothing. */
static void times_look(struct stopper *k, struct times *t)
{
	const struct stop *s = &k->stop;
	uint64_t busy = s->busy_end_ns - s->busy_ns, all = s->end_ns - s->begin_ns;

	t->busy_ns = t->busy_ns && t->busy_ns < busy ? t->busy_ns : busy;
	t->all_ns = t->all_ns && t->all_ns < all ? t->all_ns : all;
	t->wrong += !s->threads[0].busy || s->busy_ns < s->begin_ns ||
		    s->stopped_ns < s->busy_ns || s->end_ns < s->busy_end_ns;
}

static void test_workers(void)
{
	pid_t pid = own_begin(worker_victim);
	struct times times = { 0 };
	struct oracle o;
	struct stopper k;

	oracle_open(&k, &o, pid);
	is_int(stopper_run(&k, 3, 1000), 0, "stops: %s", k.err.text);
	oracle_says(&o, 3);
	is_int(o.threads, 301, "all threads");
	k.look = NULL;
	for (int i = 0; i < 30; i++) {
		is_int(stopper_run(&k, 1, 1000), 0, "stop: %s", k.err.text);
		times_look(&k, &times);
	}
	diag("at work: %llu us, all: %llu us", (unsigned long long)times.busy_ns / 1000,
	     (unsigned long long)times.all_ns / 1000);
	ok(times.wrong < 5, "the one at work is known, but for %u times", times.wrong);
	ok(times.busy_ns * 5 < times.all_ns, "it stands for a fraction of the time");
	ok(own_goes_on(1000), "and goes on");
	stopper_close(&k);
	own_end(pid);
}

/* Called between the two: those that idle stand, those at work go on. */
struct between {
	struct stopper *k;
	unsigned calls, moving, standing;
	int result, rounds;       /* of the leader, meanwhile */
};

static int between_look(void *arg)
{
	struct between *b = arg;
	int before = atomic_load(&shared->rounds);
	const struct stop *s = &b->k->stop;

	b->calls++;
	b->standing = b->moving = 0;
	for (size_t i = 0; i < s->n; i++)
		if (s->threads[i].stopped)
			b->standing++;
		else
			b->moving++;
	kit_sleep_ms(150); /* more than the time-out */
	b->rounds = atomic_load(&shared->rounds) - before;
	return b->result;
}

static int between_there(void *arg)
{
	struct between *b = arg;
	struct stop_options o = { .timeout_ns = 100000000, .before_busy = between_look, .arg = b };
	int r = stop_begin(&b->k->stop, &o, &b->k->err);

	if (r == 0)
		stop_resume(&b->k->stop);
	return r;
}

static void test_between(void)
{
	pid_t pid = own_begin(worker_victim);
	struct between b = { 0 };
	struct stopper k;

	stopper_open(&k, pid);
	b.k = &k;
	for (int i = 0; i < 5; i++) {
		is_int(stop_seize(&k.stop, k.target, &k.err), 0, "prepare: %s", k.err.text);
		b.calls = 0;
		b.result = i & 1 ? -EXDEV : 0;
		is_int(tracer_run(k.tracer, between_there, &b), b.result, "a stop: %s", k.err.text);
		is_int(b.calls, 1, "called once");
		ok(b.standing > 200 && b.moving > 0, "%u stand, %u do not", b.standing, b.moving);
		ok(b.rounds > 0, "one of them is at work");
		ok(own_is_free(pid) && own_goes_on(1000), "and goes on");
	}
	stopper_close(&k);
	own_end(pid);
}

/* -------------------------------------------------------------------- exec */

/* A thread that is not the leader calls exec: all others die, it gets the leader's id. */
static void *exec_thread(void *arg)
{
	char fd[16];
	struct timespec ts = { .tv_nsec = (long)(getpid() * 7919 % 1000) * 1000 };

	(void)arg;
	snprintf(fd, sizeof(fd), "%d", shared_fd);
	ts.tv_nsec += atomic_load(&shared->rounds) % 50 * 20000;
	(void)nanosleep(&ts, NULL);
	while (atomic_load(&shared->ready) != 2) /* the test has opened us */
		kit_sleep_ms(1);
	(void)execl(own_path, own_path, "exec-victim", fd, (char *)NULL);
	atomic_fetch_add(&shared->wrong, 1);
	return NULL;
}

static void exec_victim(void)
{
	pthread_t t;

	for (int i = 0; i < 3; i++)
		(void)pthread_create(&t, NULL, own_sleeper, NULL);
	(void)pthread_create(&t, NULL, exec_thread, NULL);
	if (atomic_fetch_add(&shared->rounds, 1) & 1)
		pthread_exit(NULL); /* every other time the leader is a zombie, too */
	if (atomic_load(&shared->ready) == 0)
		atomic_store(&shared->ready, 1);
	own_sleeper(NULL);
}

static void exec_main(const char *fd)
{
	shared_fd = atoi(fd);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, shared_fd, 0);
	if (shared == MAP_FAILED)
		_exit(1);
	exec_victim();
}

static void test_exec(void)
{
	pid_t pid = own_begin(exec_victim);
	struct oracle o;
	struct stopper k;
	int status, before;

	oracle_open(&k, &o, pid);
	atomic_store(&shared->ready, 2);
	before = atomic_load(&shared->rounds);
	is_int(stopper_run(&k, 600, 300), 0, "stops: %s", k.err.text);
	oracle_says(&o, 600);
	diag("%d calls of exec meanwhile; late: %u", atomic_load(&shared->rounds) - before, k.late);
	ok(atomic_load(&shared->rounds) - before > 20, "control: it called exec");
	ok(own_goes_on(5000), "and goes on to do so");
	is_int(shared->wrong, 0, "none failed");
	is_int(waitpid(pid, &status, WNOHANG), 0, "it lives");
	stopper_close(&k);
	own_end(pid);
}

/* ------------------------------------------------------------ what is late */

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
	pid_t pid = own_begin(vfork_victim);
	struct oracle o;
	struct stopper k;
	int r = 0;

	/* target_open() refuses while the child runs. */
	while (atomic_load(&shared->ready) != 2)
		kit_sleep_ms(1);
	oracle_open(&k, &o, pid);
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
		ok(own_is_free(pid), "let go at once");
		ok(own_goes_on(1000), "the other thread goes on");
	}
	if (!kit_slow_build())
		ok(shared->gap_us < 80000, "it stood for %ld us at most", shared->gap_us);
	is_int(stopper_run(&k, 20, 30000), 0, "tried again until it works: %s", k.err.text);
	ok(k.late > 0, "control: %u were late", k.late);
	oracle_says(&o, 20);
	is_int(shared->wrong, 0, "no harm");
	stopper_close(&k);
	own_end(pid);
}

static void rounds_victim(void)
{
	atomic_store(&shared->ready, 1);
	for (;;) {
		kit_sleep_ms(1);
		atomic_fetch_add(&shared->rounds, 1);
	}
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
	struct oracle o;
	struct stopper k;
	pid_t pid;

	snprintf(dir, sizeof(dir), "%s/decant-test-%d", f->root, getpid());
	if (mkdir(dir, 0700) != 0)
		skip("no freezer at %s", f->root);
	pid = own_begin(rounds_victim);
	snprintf(number, sizeof(number), "%d", pid);
	if (!put(dir, "cgroup.procs", number) || !put(dir, f->file, f->freeze)) {
		own_end(pid);
		(void)rmdir(dir);
		skip("%s does not freeze", f->root);
	}
	kit_sleep_ms(50);
	ok(!own_goes_on(100), "control: it is frozen");
	oracle_open(&k, &o, pid);
	k.timeout_ns = 20000000;
	for (int i = 0; i < 5; i++) {
		is_int(stopper_once(&k), f->result, "a stop of it: %s", k.err.text);
		if (f->result)
			ok(strstr(k.err.text, "frozen"), "says why");
		ok(own_is_free(pid), "let go");
	}
	ok(!own_goes_on(100), "it still is frozen");
	ok(put(dir, f->file, f->thaw), "thaw");
	ok(own_goes_on(2000), "it goes on then");
	is_int(stopper_run(&k, 5, 1000), 0, "and can be stopped: %s", k.err.text);
	oracle_says(&o, 5);
	stopper_close(&k);
	own_end(pid);
	for (int i = 0; i < 1000 && rmdir(dir) != 0; i++)
		kit_sleep_ms(1);
}

/* ---------------------------------------------------------------- refusals */

static void test_traced(void)
{
	pid_t pid = own_begin(rounds_victim), rival;
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
	ok(own_goes_on(1000), "no harm");
	kill(rival, SIGKILL);
	(void)waitpid(rival, &status, 0);
	is_int(stopper_run(&k, 3, 100), 0, "then it can be: %s", k.err.text);
	stopper_close(&k);
	own_end(pid);
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
	pid_t pid = own_begin(narrow_victim);
	struct stopper k;

	kit_sleep_ms(20);
	stopper_open(&k, pid);
	for (int i = 0; i < 5; i++) {
		is_int(stopper_once(&k), -ENOTSUP, "32-bit code");
		ok(strstr(k.err.text, "32-bit"), "%s", k.err.text);
		ok(own_is_free(pid) && own_goes_on(1000), "it goes on");
	}
	stopper_close(&k);
	own_end(pid);
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

/* ------------------------------------------------------------------ deaths */

static int kill_look(struct stopper *k, void *arg)
{
	(void)arg;
	return kill(k->target->pid, SIGKILL);
}

static void crowd_victim(void)
{
	pthread_t t;

	for (int i = 0; i < 20; i++)
		(void)pthread_create(&t, NULL, own_sleeper, NULL);
	rounds_victim();
}

/* The target is killed while it stands: its parent hears of it at once. */
static void test_target_killed(void)
{
	for (int i = 0; i < 10; i++) {
		pid_t pid = own_begin(i & 1 ? crowd_victim : rounds_victim);
		struct stopper k;
		int status = 0, n;

		stopper_open(&k, pid);
		k.look = kill_look;
		is_int(stopper_run(&k, 1, 100), 0, "the stop ends well: %s", k.err.text);
		for (n = 0; n < 3000 && waitpid(pid, &status, WNOHANG) == 0; n++)
			kit_sleep_ms(1);
		ok(n < 3000 && WIFSIGNALED(status), "its parent hears of it, the tracer living on");
		is_int(stopper_run(&k, 1, 100), -ESRCH, "it is gone: %s", k.err.text);
		stopper_close(&k);
	}
}

struct hunt {
	struct stopper *k;
	_Atomic bool end;
};

static void *hunt_run(void *arg)
{
	struct hunt *h = arg;

	while (!atomic_load(&h->end))
		(void)stopper_once(h->k);
	return NULL;
}

/* The tracer is killed at any point of the stop. */
static void deaths_case(const void *arg)
{
	struct stopper k;
	struct victim v;

	victim_begin(&v, VICTIM_THREADS | VICTIM_MAPS | VICTIM_SIGMASK, "%s", (const char *)arg);
	for (int i = 0; i < 150; i++) {
		struct hunt h = { .k = &k };
		struct timespec ts = { .tv_nsec = (long)(kit_random() % 400) * 1000 };
		pthread_t t;

		stopper_open(&k, v.pid);
		need(pthread_create(&t, NULL, hunt_run, &h) == 0, "thread");
		(void)nanosleep(&ts, NULL);
		kill(tracer_pid(k.tracer), SIGKILL);
		atomic_store(&h.end, true);
		pthread_join(t, NULL);
		is_int(stopper_once(&k), -EOWNERDEAD, "the tracer is dead");
		stopper_close(&k);
	}
	is_str(victim_harm(&v), NULL, "no harm");
	diag("%llu EINTR", (unsigned long long)v.report->eintr);
	victim_end(&v);
}

#ifdef DECANT_FAULTS
/* The tool dies before (or, where something is restored, after) every call of a stop. */
static void tool_case(const void *arg)
{
	unsigned long n = 0;
	struct victim v;
	int status;

	victim_begin(&v, VICTIM_FAMILY | VICTIM_SIGMASK, "%s", (const char *)arg);
	do {
		pid_t tool = fork();

		if (tool == 0) {
			struct sys_fault_plan plan = { .mode = SYS_FAULT_KILL, .nth = n + 1 };
			struct stopper k;

			stopper_open(&k, v.pid);
			(void)stop_seize(&k.stop, k.target, &k.err);
			sys_fault_arm(&plan);
			_exit(stopper_run(&k, 1, 100) == 0 ? 0 : 1);
		}
		need(tool > 0 && waitpid(tool, &status, 0) == tool, "the tool");
		n++;
		for (int i = 0; i < 1000 && !own_is_free(v.pid); i++)
			kit_sleep_ms(1);
		ok(own_is_free(v.pid), "death %lu: nothing is traced", n);
		if (n % 8 == 0)
			is_str(victim_harm_quick(&v), NULL, "death %lu: no harm", n);
	} while (WIFSIGNALED(status));
	is_int(status, 0, "the last one lives");
	ok(n > 20, "control: %lu deaths", n - 1);
	is_str(victim_harm(&v), NULL, "no harm");
	diag("%lu deaths, %llu EINTR", n - 1, (unsigned long long)v.report->eintr);
	victim_end(&v);
}

/* It dies when it has seen a signal, and has not yet handed it on. */
static void test_signal_death(void)
{
	unsigned deaths = 0;
	struct victim v;
	int status;

	victim_begin(&v, VICTIM_SIGMASK, "life storm");
	for (int i = 0; i < 40; i++) {
		pid_t tool = fork();

		if (tool == 0) {
			struct sys_fault_plan plan = { .mode = SYS_FAULT_KILL, .nth = 1,
						       .name = "ptrace_cont" };
			struct stopper k;

			stopper_open(&k, v.pid);
			sys_fault_arm(&plan);
			_exit(stopper_run(&k, 300, 0) == 0 ? 0 : 1);
		}
		need(tool > 0 && waitpid(tool, &status, 0) == tool, "the tool");
		deaths += WIFSIGNALED(status);
		ok(WIFSIGNALED(status) || status == 0, "the tool ended with %d", status);
		/* Its tracer may take a moment longer to be gone. */
		for (int k = 0; k < 1000 && !own_is_free(v.pid); k++)
			kit_sleep_ms(1);
	}
	ok(deaths > 5, "control: %u deaths with a signal at hand", deaths);
	is_str(victim_harm(&v), NULL, "every signal came, once and in order");
	victim_end(&v);
}

/* Every call of ours fails once: the stop works, or all is let go. */
static void faults_case(const void *arg)
{
	unsigned long n = 0, fired;
	unsigned failed = 0, late = 0;
	struct stopper k;
	struct victim v;

	victim_begin(&v, 0, "%s", (const char *)arg);
	do {
		struct sys_fault_plan plan = { .nth = ++n };
		int r;

		stopper_open(&k, v.pid);
		need(stopper_run(&k, 1, 100) == 0, "a stop without faults: %s", k.err.text);
		k.timeout_ns = 30000000;
		k.err.text[0] = '\0';
		sys_fault_arm(&plan);
		r = stopper_once(&k);
		fired = sys_fault_fired();
		sys_fault_disarm();
		late += r == -ETIMEDOUT;
		if (r < 0 && r != -EOWNERDEAD) {
			failed++;
			ok(k.err.text[0], "fault %lu, %s: %d has a sentence", n,
			   sys_fault_fired_name(), r);
		}
		ok(own_is_free(v.pid), "fault %lu, %s: %d: nothing is traced", n,
		   sys_fault_fired_name(), r);
		stopper_close(&k);
	} while (fired);
	diag("%lu faults, %u failed", n - 1, failed);
	ok(n > 15 && failed > 5, "control: there were faults");
	is_str(victim_harm(&v), NULL, "no harm");
	/* Registers that cannot be read cannot be set right. */
	ok(v.report->eintr <= late, "no EINTR but that, %llu", (unsigned long long)v.report->eintr);
	victim_end(&v);
}
#endif

int main(int argc, char **argv)
{
	static const unsigned counts[] = { 1, 100, 1000, 4000 };
	static const struct freezer freezers[] = {
		{ "/sys/fs/cgroup/freezer", "freezer.state", "FROZEN", "THAWED", -ETIMEDOUT },
		{ "/sys/fs/cgroup/unified", "cgroup.freeze", "1", "0", 0 },
	};
	static const char *const victims[] = {
		"blocker nanosleep --ms 5", "blocker epoll_wait --ms 5", "blocker sigsuspend",
		"life threads --n 20", "life storm", "life ending --n 4",
	}; /* the mask of "storm" is that of a handler now and then */
	static const char *const faulted[] = { "blocker epoll_wait --ms 5", "life threads --n 3" };

	if (readlink("/proc/self/exe", own_path, sizeof(own_path) - 1) < 0)
		bail("no path of our own");
	if (argc == 3 && strcmp(argv[1], "exec-victim") == 0)
		exec_main(argv[2]);
	kit_start(240);
	tap_case("control: the oracle sees a thread that moves", test_control);
	for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		kit_case(many_case, &counts[i], "%u threads", counts[i]);
	tap_case("threads that start and end all the time", test_ending);
	tap_case("a dead leader", test_dead_leader);
	tap_case("threads at work stand for the shortest time", test_workers);
	tap_case("what is done before those at work stop", test_between);
	tap_case("threads that call exec", test_exec);
	tap_case("vfork: let go, and tried again", test_vfork);
	for (unsigned i = 0; i < sizeof(freezers) / sizeof(freezers[0]); i++)
		kit_case(freezer_case, &freezers[i], "frozen by %s", freezers[i].root);
	tap_case("traced by another", test_traced);
	tap_case("32-bit code", test_narrow);
	tap_case("another pid namespace", test_namespace);
	tap_case("the target is killed while it stands", test_target_killed);
	for (unsigned i = 0; i < sizeof(victims) / sizeof(victims[0]); i++)
		kit_case(deaths_case, victims[i], "the tracer is killed: %s", victims[i]);
#ifdef DECANT_FAULTS
	tap_case("the tool dies with a signal at hand", test_signal_death);
	for (unsigned i = 0; i < sizeof(victims) / sizeof(victims[0]) - 1; i++)
		kit_case(tool_case, victims[i], "the tool dies at every call: %s", victims[i]);
	for (unsigned i = 0; i < sizeof(faulted) / sizeof(faulted[0]); i++)
		kit_case(faults_case, faulted[i], "every call fails once: %s", faulted[i]);
#endif
	return done();
}
