/* SPDX-License-Identifier: MIT */
/*
 * The stop is not seen by threads blocked in system calls, nor by io_uring's
 * workers.  Each with a control: a bare PTRACE_INTERRUPT is seen.
 */
#include <fcntl.h>
#include <liburing.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/child.h"
#include "lib/kit.h"
#include "lib/stopper.h"
#include "lib/victims.h"
#include "tap.h"

#define STOPS 60

/* ------------------------------------------------------------ blocked calls */

struct call {
	const char *name;
	long nr;                  /* that it is blocked in; -1: several */
	bool breaks;              /* PTRACE_INTERRUPT alone makes it give EINTR */
	unsigned habits;
};

static const struct call calls[] = {
	{ "nanosleep", -1, false, 0 },
	{ "clock_nanosleep", SYS_clock_nanosleep, false, 0 },
	{ "futex", SYS_futex, false, 0 },
	{ "futex_forever", SYS_futex, false, 0 },
	{ "epoll_wait", SYS_epoll_wait, true, 0 },
	{ "epoll_pwait", SYS_epoll_pwait, true, 0 },
	{ "epoll_forever", SYS_epoll_wait, true, 0 },
	{ "poll", -1, false, 0 },
	{ "ppoll", SYS_ppoll, false, 0 },
	{ "select", -1, false, 0 },
	{ "pselect", SYS_pselect6, false, 0 },
	{ "recv", SYS_recvfrom, true, 0 },
	{ "recv_forever", SYS_recvfrom, false, 0 },
	{ "accept", SYS_accept, true, 0 },
	{ "read", SYS_read, false, 0 },
	{ "sigtimedwait", SYS_rt_sigtimedwait, true, 0 },
	{ "sigsuspend", SYS_rt_sigsuspend, false, VICTIM_SIGMASK },
	{ "semtimedop", SYS_semtimedop, true, 0 },
	{ "msgrcv", SYS_msgrcv, false, 0 },
	{ "io_getevents", SYS_io_getevents, true, 0 },
	{ "io_uring_enter", SYS_io_uring_enter, true, 0 },
	{ "io_uring_timed", SYS_io_uring_enter, true, 0 },
	{ "wait4", SYS_wait4, false, VICTIM_FAMILY },
};

struct seen {
	const struct call *call;
	unsigned inside;          /* stops that found the leader in the call */
	unsigned wrong;           /* registers that claim an EINTR */
};

static int call_look(struct stopper *k, void *arg)
{
	struct seen *seen = arg;
	const struct stop_thread *t = &k->stop.threads[0];

	seen->inside += arch_syscall(&t->regs) == seen->call->nr;
	if (t->tid != k->target->pid || !t->stopped || !t->seized || arch_regs_check(&t->regs) ||
	    arch_ip(&t->regs) == 0 || memcmp(&t->regs, &t->resume, sizeof(t->regs)) != 0)
		seen->wrong++;
	return 0;
}

static void call_case(const void *arg)
{
	const struct call *c = arg;
	struct seen seen = { .call = c };
	struct stopper k;
	struct victim v;

	victim_begin(&v, c->habits, "blocker %s --ms 6", c->name);
	stopper_open(&k, v.pid);
	k.look = call_look;
	k.look_arg = &seen;
	is_int(stopper_run(&k, STOPS, 2500), 0, "stops: %s", k.err.text);
	if (k.late)
		diag("late: %u", k.late);
	if (c->nr >= 0)
		ok(seen.inside > STOPS / 3, "%u stops found it in the call", seen.inside);
	is_int(seen.wrong, 0, "it stands as it should");
	is_str(victim_harm(&v), NULL, "no harm");
	is_int(v.report->eintr, 0, "no EINTR");
	stopper_close(&k);
	victim_end(&v);
}

static void call_control(const void *arg)
{
	const struct call *c = arg;
	struct stopper k;
	struct victim v;

	victim_begin(&v, c->habits, "blocker %s --ms 6", c->name);
	stopper_open(&k, v.pid);
	for (int i = 0; i < 2000 && v.report->eintr == 0; i++) {
		need(stopper_bare(&k, v.pid) == 0, "a bare stop");
		kit_sleep_ms(1);
	}
	ok(v.report->eintr > 0, "the victim says that it got EINTR");
	stopper_close(&k);
	victim_end(&v);
}

/* ----------------------------------------------------------------- io_uring */

/* A request that a worker of the kernel's works on; its completion. */
static void uring_victim(void)
{
	struct io_uring_cqe *cqe = NULL;
	struct io_uring ring;
	char c;
	int fd[2];

	if (io_uring_queue_init(8, &ring, 0) != 0) {
		atomic_store(&shared->ready, 2);
		_exit(0);
	}
	/* Not a pipe: a FIFO that is opened waits in the worker. */
	(void)unlink("stop.fifo");
	if (mkfifo("stop.fifo", 0600) != 0 || pipe(fd) != 0)
		_exit(1);
	for (;;) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
		int r;

		io_uring_prep_openat(sqe, AT_FDCWD, "stop.fifo", O_RDONLY | O_CLOEXEC, 0);
		sqe->flags |= IOSQE_ASYNC;
		io_uring_submit(&ring);
		atomic_store(&shared->ready, 1);
		while ((r = io_uring_wait_cqe(&ring, &cqe)) == -EINTR)
			atomic_fetch_add(&shared->eintr, 1);
		if (r == 0 && cqe->res >= 0)
			close(cqe->res);
		else
			atomic_store(&shared->want, r < 0 ? r : cqe->res);
		atomic_fetch_add(r == 0 && cqe->res >= 0 ? &shared->handled : &shared->other, 1);
		io_uring_cqe_seen(&ring, cqe);
		(void)c;
	}
}

static int uring_look(struct stopper *k, void *arg)
{
	unsigned *out = arg;

	if (k->stop.left_out_n > *out)
		*out = (unsigned)k->stop.left_out_n;
	return 0;
}

static void test_uring_worker(void)
{
	pid_t pid = child_begin(uring_victim);
	unsigned out = 0;
	struct stopper k;

	if (shared->ready == 2)
		skip("no io_uring");
	stopper_open(&k, pid);
	k.look = uring_look;
	k.look_arg = &out;
	for (int i = 0; i < 20; i++) {
		int fd;

		kit_sleep_ms(2);
		is_int(stopper_run(&k, 10, 100), 0, "stops: %s", k.err.text);
		fd = open("stop.fifo", O_WRONLY);
		ok(child_counts_to(&shared->handled, i + 1, 5000), "request %d is done", i);
		close(fd);
	}
	ok(out > 0, "control: there was a worker, %u", out);
	is_int(shared->other, 0, "no request failed: %d", shared->want);
	is_int(shared->eintr, 0, "no EINTR");
	stopper_close(&k);
	child_end(pid);
	(void)unlink("stop.fifo");
}

int main(void)
{
	kit_start(240);
	for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		kit_case(call_case, &calls[i], "%s: stopped and not seen", calls[i].name);
	for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (calls[i].breaks)
			kit_case(call_control, &calls[i],
				 "control: %s, stopped barely, gives EINTR", calls[i].name);
	tap_case("requests of io_uring's workers", test_uring_worker);
	return done();
}
