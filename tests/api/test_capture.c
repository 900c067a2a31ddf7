/* SPDX-License-Identifier: MIT */
/*
 * Captures through the shared library: what a caller can get wrong, and what a
 * capture may not do to the caller: no child in its waits, no signal, no
 * descriptor, thread or mapping left.
 */
#include <decant.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/kit.h"
#include "lib/leak.h"
#include "lib/victims.h"
#include "tap.h"

static struct decant *d;
static struct decant_target *target;
static struct victim victim;

static void begin(void)
{
	victim_begin(&victim, 0, "counter --mib 8");
	need(decant_open(&d, NULL) == 0, "an engine: %s", decant_strerror(NULL));
	need(decant_target_open(d, &target, victim.pid) == 0, "a target: %s", decant_strerror(d));
}

static void end(void)
{
	const char *harm = victim_harm(&victim);

	ok(!harm, "the target is unharmed: %s", harm ? harm : "yes");
	decant_target_close(target);
	decant_close(d);
	victim_end(&victim);
}

/* An empty file without a name. */
static int fresh_file(void)
{
	return kit_must(open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
}

static int capture_into(int fd, struct decant_capture_options *o, struct decant_capture_report *r)
{
	struct decant_image_sink sink = DECANT_IMAGE_SINK_INIT;

	sink.fd = fd;
	return decant_capture(d, target, o, &sink, r);
}

static bool is_core(int fd)
{
	char head[20] = "";

	return pread(fd, head, sizeof(head), 0) == sizeof(head) &&
	       memcmp(head, "\177ELF", 4) == 0 && head[16] == 4;
}

/* ------------------------------------------------------------------ misuse */

static void refused(struct decant_capture_options o, struct decant_image_sink sink, int want,
		    const char *name)
{
	struct decant_capture_report r = DECANT_CAPTURE_REPORT_INIT;
	int got = decant_capture(d, target, &o, &sink, &r);

	is_int(got, want, "%s: refused", name);
	ok(strchr(decant_strerror(d), ':'), "  with a sentence: %s", decant_strerror(d));
	is_str(r.message, decant_strerror(d), "  the report's, too");
	is_int(r.stops, 0, "  nothing was stopped");
	is_int(decant_capture(d, target, &o, &sink, NULL), want, "  also without a report");
}

static void case_misuse(void)
{
	const struct decant_capture_options plain = DECANT_CAPTURE_OPTIONS_INIT;
	struct decant_image_sink sink = DECANT_IMAGE_SINK_INIT, other;
	struct decant_capture_options o;
	int fd = fresh_file(), pipes[2];

	begin();
	kit_must(pipe2(pipes, O_CLOEXEC));
	sink.fd = fd;
	o = plain, o.size = 0;
	refused(o, sink, -EINVAL, "options without a size");
	o = plain, o.flags = 1u << 31;
	refused(o, sink, -EINVAL, "an unknown flag");
	o = plain, o.strategy = 4;
	refused(o, sink, -EINVAL, "an unknown strategy");
	other = sink, other.size = 4;
	refused(plain, other, -EINVAL, "a sink without a size");
	other = sink, other.format = 7;
	refused(plain, other, -EINVAL, "an unknown format");
	other = sink, other.fd = -1;
	refused(plain, other, -EBADF, "no descriptor");
	other.fd = pipes[0];
	refused(plain, other, -EBADF, "the wrong end of a pipe");
	other.fd = pipes[1];
	o = plain, o.strategy = DECANT_STRATEGY_PRECOPY;
	refused(o, other, -ESPIPE, "precopy into a pipe");
	kit_must(ftruncate(fd, 1));
	refused(plain, sink, -EINVAL, "a file that is not empty");
	kit_must(ftruncate(fd, 0));
	kit_must(fcntl(fd, F_SETFL, O_APPEND));
	refused(plain, sink, -EINVAL, "a file for appending");
	kit_must(fcntl(fd, F_SETFL, 0));
	o = plain, o.pause_max_ns = 1;
	refused(o, sink, -E2BIG, "a pause that nothing meets");
	is_int(capture_into(fd, &(struct decant_capture_options)DECANT_CAPTURE_OPTIONS_INIT, NULL),
	       0, "after all that it works, without a report");
	ok(is_core(fd), "  and gives a core");
	end();
}

static void case_targets(void)
{
	struct decant_capture_options o = DECANT_CAPTURE_OPTIONS_INIT;
	struct decant_capture_plan plan = DECANT_CAPTURE_PLAN_INIT;
	struct decant_target *mine, *none = (void *)&o;
	struct decant *second;
	int fd = fresh_file();

	begin();
	is_int(decant_target_open(d, &none, 0), -ESRCH, "0 is no process: %s", decant_strerror(d));
	is_int(decant_target_open(d, &none, -5), -ESRCH, "nor is -5: %s", decant_strerror(d));
	is_int(decant_target_open(d, &none, getpid()), -ENOTSUP, "ourselves: %s",
	       decant_strerror(d));
	ok(none == (void *)&o, "nothing was returned");
	decant_target_close(NULL);

	need(decant_open(&second, NULL) == 0, "a second engine");
	need(decant_target_open(second, &mine, victim.pid) == 0, "the same target there");
	is_int(decant_capture(d, mine, &o, &(struct decant_image_sink){ sizeof(
			      struct decant_image_sink), 0, fd }, NULL), -EINVAL,
	       "a target of another engine: %s", decant_strerror(d));
	decant_target_close(mine);
	decant_close(second);

	plan.size = 8;
	is_int(decant_capture_plan(d, target, &o, 1, &plan), -EINVAL, "a plan without a size");
	plan.size = sizeof(plan);
	is_int(decant_capture_plan(d, target, &o, 1, &plan), 0, "a plan");
	ok(plan.memory_bytes >= 8 << 20 && plan.threads >= 1 && plan.mappings > 5,
	   "  has numbers: %ju bytes", (uintmax_t)plan.memory_bytes);
	for (uint32_t i = 0; i < 3; i++)
		ok(plan.forecasts[i].strategy == i + 1 &&
			   (plan.forecasts[i].possible || plan.forecasts[i].why[0]),
		   "  and a forecast %u", i);
	end();
}

static void case_gone(void)
{
	struct decant_capture_options o = DECANT_CAPTURE_OPTIONS_INIT;
	struct decant_capture_plan plan = DECANT_CAPTURE_PLAN_INIT;

	begin();
	victim_end(&victim);
	is_int(capture_into(fresh_file(), &o, NULL), -ESRCH, "a target that is gone: %s",
	       decant_strerror(d));
	is_int(decant_capture_plan(d, target, &o, 1, &plan), -ESRCH, "  no plan either: %s",
	       decant_strerror(d));
	decant_target_close(target);
	decant_close(d);
}

/* ---------------------------------------------------------------- progress */

static struct {
	pid_t tid;
	unsigned calls, stop_at;
	uint64_t bytes;
	bool wrong;
} seen;

static int progress(void *arg, const struct decant_capture_progress *p)
{
	seen.wrong |= arg != &seen || seen.tid != (pid_t)syscall(SYS_gettid) || !p->phase ||
		      !p->phase[0] || p->bytes < seen.bytes;
	seen.bytes = p->bytes;
	return ++seen.calls == seen.stop_at;
}

static void case_progress(const void *arg)
{
	struct decant_capture_options o = DECANT_CAPTURE_OPTIONS_INIT;
	struct decant_capture_report r = DECANT_CAPTURE_REPORT_INIT;
	unsigned calls;
	int fd, result;

	begin();
	o.strategy = *(const uint32_t *)arg;
	o.progress = progress;
	o.progress_arg = &seen;
	seen.tid = (pid_t)syscall(SYS_gettid);
	is_int(capture_into(fd = fresh_file(), &o, &r), 0, "told of: %s", r.message);
	ok(seen.calls > 1 && !seen.wrong && seen.bytes >= 8 << 20,
	   "  %u times, on our thread, never less: %ju bytes", seen.calls, (uintmax_t)seen.bytes);
	close(fd);
	calls = seen.calls;
	for (unsigned at = 1; at <= calls; at += 1 + calls / 8) {
		seen.calls = 0;
		seen.bytes = 0;
		seen.stop_at = at;
		result = capture_into(fd = fresh_file(), &o, &r);
		close(fd);
		/* No two captures tell as often as each other. */
		if (result == 0 && seen.calls < at)
			break;
		is_int(result, -ECANCELED, "cancelled at %u: %s", at, r.message);
		is_int(seen.calls, at, "  asked no more");
	}
	seen.stop_at = 0;
	o.rate_bytes = 1 << 20; /* not in a stop, which it would make longer */
	o.timeout_ns = 1000000;
	is_int(capture_into(fd = fresh_file(), &o, &r), -ETIME, "a time-out: %s", r.message);
	ok(r.total_ns < 5000000000, "  in time");
	end();
}

/* -------------------------------------------------------------- the caller */

static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
	(void)sig;
	signals++;
}

static void case_caller(void)
{
	static const uint32_t strategies[] = { DECANT_STRATEGY_PRECOPY, DECANT_STRATEGY_FORK,
					       DECANT_STRATEGY_STOP, DECANT_STRATEGY_AUTO };
	struct decant_capture_options o = DECANT_CAPTURE_OPTIONS_INIT;
	struct sigaction act = { .sa_handler = on_signal };
	sigset_t before = { 0 }, after = { 0 };
	struct leak held;
	const char *more;
	int fd;

	begin();
	for (int sig = 1; sig < 32; sig++)
		(void)sigaction(sig, &act, NULL); /* not those that cannot be caught */
	kit_must(sigprocmask(SIG_SETMASK, NULL, &before));
	is_int(capture_into(fd = fresh_file(), &o, NULL), 0, "once, for what is made once");
	close(fd);
	leak_take(&held);
	for (unsigned i = 0; i < 20; i++) {
		o.strategy = strategies[i % 4];
		is_int(capture_into(fd = fresh_file(), &o, NULL), 0, "capture %u", i);
		ok(is_core(fd), "  a core");
		is_int(fcntl(fd, F_GETFL) & O_DIRECT, 0, "  our descriptor has its flags back");
		close(fd);
		is_int(waitpid(-1, NULL, WNOHANG | __WALL), 0, "  no child but the victim");
	}
	is_int(signals, 0, "no signal came");
	kit_must(sigprocmask(SIG_SETMASK, NULL, &after));
	is_mem(&before, &after, sizeof(before), "the signal mask is as before");
	more = leak_since(&held, 10000);
	if (!ok(!more, "nothing is left: %s", more ? more : "nothing"))
		(void)!system("tail -n +1 /proc/$PPID/task/*/comm | sed 's/^/# /'");
	/* SIGCHLD of the victim's own end is no wonder. */
	(void)signal(SIGCHLD, SIG_DFL);
	end();
}

/* Two at a time: of two targets both, of one at least one; nobody is harmed. */
struct pair_of {
	struct victim *of;
	int result;
};

static void *capture_thread(void *arg)
{
	struct decant_capture_options o = DECANT_CAPTURE_OPTIONS_INIT;
	struct decant_image_sink sink = DECANT_IMAGE_SINK_INIT;
	struct pair_of *p = arg;
	struct decant_target *t;
	struct decant *engine;

	p->result = decant_open(&engine, NULL);
	if (p->result < 0)
		return NULL;
	p->result = decant_target_open(engine, &t, p->of->pid);
	if (p->result == 0) {
		sink.fd = fresh_file();
		o.pause_max_ns = 1000000000;
		p->result = decant_capture(engine, t, &o, &sink, NULL);
		if (p->result == 0 && !is_core(sink.fd))
			p->result = -EBADMSG;
		close(sink.fd);
		decant_target_close(t);
	}
	decant_close(engine);
	return NULL;
}

static void case_two(void)
{
	static struct victim victims[2];

	for (unsigned i = 0; i < 2; i++)
		victim_begin(&victims[i], 0, "counter --mib 4");
	for (unsigned round = 0; round < 10; round++) {
		bool same = round % 2;
		struct pair_of pairs[2] = { { .of = &victims[0] },
					    { .of = &victims[same ? 0 : 1] } };
		pthread_t threads[2];

		for (unsigned i = 0; i < 2; i++)
			kit_must(-pthread_create(&threads[i], NULL, capture_thread, &pairs[i]));
		for (unsigned i = 0; i < 2; i++)
			pthread_join(threads[i], NULL);
		diag("%s: %d, %d", same ? "one target" : "two targets", pairs[0].result,
		     pairs[1].result);
		if (same)
			ok(pairs[0].result == 0 || pairs[1].result == 0,
			   "of one target: at least one core");
		else
			ok(pairs[0].result == 0 && pairs[1].result == 0,
			   "of two targets: two cores");
	}
	for (unsigned i = 0; i < 2; i++) {
		const char *harm = victim_harm(&victims[i]);

		ok(!harm, "target %u is unharmed: %s", i, harm ? harm : "yes");
		victim_end(&victims[i]);
	}
}

/* With few descriptors to be had it fails, with a sentence, and works afterwards. */
static void case_descriptors(void)
{
	struct decant_capture_options o = DECANT_CAPTURE_OPTIONS_INIT;
	struct decant_capture_report r = DECANT_CAPTURE_REPORT_INIT;
	struct rlimit limit, less;
	unsigned failed = 0;
	int fd = fresh_file(), top, result;

	begin();
	top = kit_must(dup(fd));
	close(top);
	kit_must(getrlimit(RLIMIT_NOFILE, &limit));
	less = limit;
	for (int more = 0; more < 40; more++) {
		less.rlim_cur = (rlim_t)(top + more);
		kit_must(setrlimit(RLIMIT_NOFILE, &less));
		result = capture_into(fd, &o, &r);
		kit_must(setrlimit(RLIMIT_NOFILE, &limit));
		if (result == 0)
			break;
		failed++;
		ok(r.message[0], "%d more descriptors: %d, %s", more, result, r.message);
		kit_must(ftruncate(fd, 0));
	}
	ok(failed > 0 && result == 0, "in the end there are enough");
	ok(is_core(fd), "  and there is a core");
	end();
}

int main(void)
{
	static const uint32_t precopy = DECANT_STRATEGY_PRECOPY, fork_ = DECANT_STRATEGY_FORK,
			      stop = DECANT_STRATEGY_STOP;

	kit_start(240);
	need_root();
	tap_case("what is wrong is refused", case_misuse);
	tap_case("targets", case_targets);
	tap_case("a target that is gone", case_gone);
	tap_case_arg(case_progress, &precopy, "progress, by precopy");
	tap_case_arg(case_progress, &fork_, "progress, by fork");
	tap_case_arg(case_progress, &stop, "progress, by stop");
	tap_case("the caller notices nothing", case_caller);
	tap_case("two at a time", case_two);
	tap_case("few descriptors", case_descriptors);
	return done();
}
