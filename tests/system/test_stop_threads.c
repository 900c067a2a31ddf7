/* SPDX-License-Identifier: MIT */
/*
 * The stop has all threads, whatever they do meanwhile: many, that start and
 * end, that are at work, that call exec.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "lib/child.h"
#include "lib/kit.h"
#include "lib/still.h"
#include "lib/stopper.h"
#include "lib/victims.h"
#include "tap.h"

/* ------------------------------------------------------------- many threads */

static int count_look(struct stopper *k, void *arg)
{
	*(size_t *)arg = k->stop.n;
	return 0;
}

/* CPU time of the tracer: that of others who use this machine is not in it. */
static uint64_t tracer_cpu_ns(const struct stopper *k)
{
	struct timespec ts;
	clockid_t clock;

	need(clock_getcpuclockid(tracer_pid(k->tracer), &clock) == 0 &&
	     clock_gettime(clock, &ts) == 0, "the tracer's clock");
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void many_case(const void *arg)
{
	unsigned n = *(const unsigned *)arg;
	uint64_t cpu_ns;
	size_t seen = 0;
	struct still o;
	struct stopper k;
	struct victim v;

	victim_begin(&v, 0, "life threads --n %u", n);
	still_open(&k, &o, v.pid);
	k.timeout_ns = UINT64_C(5000000000);
	is_int(stopper_run(&k, 3, 1000), 0, "stops: %s", k.err.text);
	still_says(&o, 3);
	ok(o.threads >= n, "%u threads", o.threads);
	is_int(o.first, v.pid, "the leader comes first");
	k.look = count_look;
	k.look_arg = &seen;
	k.stops = 0;
	k.pause_min_ns = k.pause_max_ns = k.pauses_ns = 0;
	cpu_ns = tracer_cpu_ns(&k);
	is_int(stopper_run(&k, 20, 2000), 0, "stops: %s", k.err.text);
	cpu_ns = (tracer_cpu_ns(&k) - cpu_ns) / k.stops;
	is_int(seen, o.threads, "all of them, again");
	diag("%zu threads: %llu us of CPU, pause %llu us, %llu to %llu us", seen,
	     (unsigned long long)cpu_ns / 1000,
	     (unsigned long long)k.pauses_ns / k.stops / 1000,
	     (unsigned long long)k.pause_min_ns / 1000,
	     (unsigned long long)k.pause_max_ns / 1000);
	if (!kit_slow_build())
		ok(cpu_ns < UINT64_C(1000000) + n * UINT64_C(60000),
		   "the work grows with the threads, not with their square");
	is_str(victim_harm(&v), NULL, "no harm");
	stopper_close(&k);
	victim_end(&v);
}

static void test_control(void)
{
	struct still o;
	struct stopper k;
	struct victim v;

	victim_begin(&v, 0, "life threads --n 3");
	still_open(&k, &o, v.pid);
	is_int(stopper_run(&k, 1, 0), 0, "stop: %s", k.err.text);
	is_int(o.moving, 0, "nobody moves in the stop");
	(void)still_look(&k, &o);
	ok(o.moving > 0 && o.missing > 0, "control: the oracle sees those that do");
	stopper_close(&k);
	victim_end(&v);
}

static void test_ending(void)
{
	struct still o;
	struct stopper k;
	struct victim v;

	victim_begin(&v, VICTIM_THREADS | VICTIM_MAPS, "life ending --n 8");
	still_open(&k, &o, v.pid);
	is_int(stopper_run(&k, 400, 300), 0, "stops: %s", k.err.text);
	still_says(&o, 400);
	diag("late: %u, pause %llu us", k.late,
	     (unsigned long long)k.pauses_ns / k.stops / 1000);
	is_str(victim_harm(&v), NULL, "no harm");
	stopper_close(&k);
	victim_end(&v);
}

static void test_dead_leader(void)
{
	struct still o;
	struct stopper k;
	struct victim v;

	victim_begin(&v, 0, "life leader --n 4 --ms 3");
	still_open(&k, &o, v.pid);
	ok(k.target->leader_dead, "control: the leader is dead");
	is_int(stopper_run(&k, 100, 1000), 0, "stops: %s", k.err.text);
	still_says(&o, 100);
	is_int(o.zombies, 1, "control: it is there");
	is_int(k.stop.n, 4, "and left out");
	is_str(victim_harm(&v), NULL, "no harm");
	stopper_close(&k);
	victim_end(&v);
}

/* ---------------------------------------------------------- threads at work */

static void *worker_pauser(void *arg)
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
		(void)pthread_create(&t, &attr, worker_pauser, NULL);
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
	pid_t pid = child_begin(worker_victim);
	struct times times = { 0 };
	struct still o;
	struct stopper k;

	still_open(&k, &o, pid);
	is_int(stopper_run(&k, 3, 1000), 0, "stops: %s", k.err.text);
	still_says(&o, 3);
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
	ok(child_goes_on(1000), "and goes on");
	stopper_close(&k);
	child_end(pid);
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
	pid_t pid = child_begin(worker_victim);
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
		ok(child_is_free(pid) && child_goes_on(1000), "and goes on");
	}
	stopper_close(&k);
	child_end(pid);
}

/* --------------------------------------------------------------------- exec */

static char own_path[400]; /* not /proc/self/exe: that needs a leader that lives */

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
		(void)pthread_create(&t, NULL, child_sleeper, NULL);
	(void)pthread_create(&t, NULL, exec_thread, NULL);
	if (atomic_fetch_add(&shared->rounds, 1) & 1)
		pthread_exit(NULL); /* every other time the leader is a zombie, too */
	if (atomic_load(&shared->ready) == 0)
		atomic_store(&shared->ready, 1);
	child_sleeper(NULL);
}

static void exec_main(const char *fd)
{
	child_map_shared(atoi(fd));
	exec_victim();
}

static void test_exec(void)
{
	pid_t pid = child_begin(exec_victim);
	struct still o;
	struct stopper k;
	int status, before;

	still_open(&k, &o, pid);
	atomic_store(&shared->ready, 2);
	before = atomic_load(&shared->rounds);
	is_int(stopper_run(&k, 600, 300), 0, "stops: %s", k.err.text);
	still_says(&o, 600);
	diag("%d calls of exec meanwhile; late: %u", atomic_load(&shared->rounds) - before, k.late);
	ok(atomic_load(&shared->rounds) - before > 20, "control: it called exec");
	ok(child_goes_on(5000), "and goes on to do so");
	is_int(shared->wrong, 0, "none failed");
	is_int(waitpid(pid, &status, WNOHANG), 0, "it lives");
	stopper_close(&k);
	child_end(pid);
}

int main(int argc, char **argv)
{
	static const unsigned counts[] = { 1, 100, 1000, 4000 };

	if (readlink("/proc/self/exe", own_path, sizeof(own_path) - 1) < 0)
		bail("no path of our own");
	if (argc == 3 && strcmp(argv[1], "exec-victim") == 0)
		exec_main(argv[2]);
	kit_start(240);
	tap_case_seconds = 60; /* thousands of threads, beside others */
	tap_case("control: the oracle sees a thread that moves", test_control);
	for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		kit_case(many_case, &counts[i], "%u threads", counts[i]);
	tap_case("threads that start and end all the time", test_ending);
	tap_case("a dead leader", test_dead_leader);
	tap_case("threads at work stand for the shortest time", test_workers);
	tap_case("what is done before those at work stop", test_between);
	tap_case("threads that call exec", test_exec);
	return done();
}
