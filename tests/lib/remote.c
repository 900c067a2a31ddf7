/* SPDX-License-Identifier: MIT */
#include "lib/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/kit.h"
#include "sys/fault.h"

#define REMOTE_LATE_MAX 50
#define REMOTE_TOOL_MS 20000
#define TOOL_WENT_ON 4           /* exit status, after a fault */

static int remote_look(struct stopper *k, void *arg)
{
	struct remote *r = arg;
	uint64_t begin = kit_now_ns();
	struct call *c;
	int ret = maps_read(k->target, MAPS_PLAIN, &r->maps, &r->err);

	if (ret < 0)
		return ret;
	ret = call_open(&c, &k->stop, &r->maps, &r->gadgets, r->method, &r->err);
	r->open_ns = kit_now_ns() - begin;
	if (ret < 0)
		return ret;
	begin = kit_now_ns();
	ret = r->act(r, c);
	r->act_ns = kit_now_ns() - begin;
	call_close(c);
	return ret;
}

void remote_open(struct remote *r, pid_t pid, int (*act)(struct remote *, struct call *))
{
	memset(r, 0, sizeof(*r));
	stopper_open(&r->k, pid);
	r->k.look = remote_look;
	r->k.look_arg = r;
	r->act = act;
	if (maps_read(r->k.target, MAPS_PLAIN, &r->maps, &r->err) < 0 ||
	    gadgets_find(r->k.target, &r->maps, &r->gadgets, &r->err) < 0)
		kit_die("%s", r->err.text);
}

int remote_once(struct remote *r)
{
	int ret = -ETIMEDOUT;

	for (unsigned i = 0; i < REMOTE_LATE_MAX && ret == -ETIMEDOUT; i++) {
		memset(&r->err, 0, sizeof(r->err));
		ret = stopper_once(&r->k);
		/* The call's own time-out is not one to be tried again. */
		if (ret == -ETIMEDOUT && r->err.text[0])
			break;
	}
	if (ret < 0 && !r->err.text[0])
		r->err = r->k.err;
	return ret;
}

static int remote_kill(void *arg)
{
	shadow_kill(arg);
	return 0;
}

void remote_end_shadow(struct remote *r)
{
	(void)tracer_run(r->k.tracer, remote_kill, &r->shadow);
}

void remote_close(struct remote *r)
{
	remote_end_shadow(r);
	maps_free(&r->maps);
	stopper_close(&r->k);
}

/* ------------------------------------------------------------------- acts */

int remote_act_asks(struct remote *r, struct call *c)
{
	const uint64_t none[6] = { UINT32_MAX };
	int64_t got = 0;
	int ret = call_do(c, SYS_getpid, none, &got, &r->err);

	/* With a dead leader the status is another thread's. */
	if (ret == 0 && !r->k.target->leader_dead && got != r->k.target->status.ns_pid)
		return err_set(&r->err, -EPROTO, "getpid gave %lld", (long long)got);
	/* An error is a result like others. */
	if (ret == 0)
		ret = call_do(c, SYS_close, none, &got, &r->err);
	if (ret == 0 && got != -EBADF)
		return err_set(&r->err, -EPROTO, "close gave %lld", (long long)got);
	return ret;
}

int remote_act_calls(struct remote *r, struct call *c)
{
	const uint64_t map[6] = { 0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				  UINT64_MAX, 0 };
	uint64_t unmap[6] = { 0, 8192 };
	int64_t got = 0;
	int ret = remote_act_asks(r, c);

	if (ret == 0)
		ret = call_do(c, SYS_mmap, map, &got, &r->err);
	if (ret < 0 || got < 0)
		return ret < 0 ? ret : err_errno(&r->err, (int)got, "mmap");
	unmap[0] = (uint64_t)got;
	ret = call_do(c, SYS_munmap, unmap, &got, &r->err);
	return ret < 0 || got == 0 ? ret : err_errno(&r->err, (int)got, "munmap");
}

int remote_act_shadow(struct remote *r, struct call *c)
{
	return shadow_make(&r->shadow, c, &r->err);
}

/* ------------------------------------------------------------------ sweeps */

/* The tool: it says how many steps it made, if it lives. */
static _Noreturn void sweep_tool(const struct sweep *s, unsigned nth, volatile unsigned *ret_steps)
{
	struct sys_fault_plan plan = {
		.mode = s->errors ? SYS_FAULT_ERROR : SYS_FAULT_KILL,
		.nth = nth,
	};
	bool fired;
	struct remote r;
	int ret;

	signal(SIGCHLD, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	remote_open(&r, s->v->pid, s->act);
	r.method = s->method;
	sys_fault_arm(&plan);
	ret = remote_once(&r);
	if (r.shadow.pid && ret == 0)
		ret = shadow_open(&r.shadow, r.k.target, &r.err);
	remote_end_shadow(&r);
	*ret_steps = (unsigned)sys_fault_calls();
	fired = sys_fault_fired() > 0;
	sys_fault_disarm();
	if (s->errors && fired)
		ret = 0;
	if (ret < 0)
		printf("# %s\n", r.err.text);
	remote_close(&r);
	fflush(NULL);
	_exit(ret < 0 ? 3 : fired ? TOOL_WENT_ON : 0);
}

/*
 * Orphans come to us and are taken away at once: process 1 may take seconds,
 * and until then it looks as if they had been left behind.
 */
static volatile pid_t sweep_known[2];

static void sweep_orphans(int sig)
{
	int error = errno;
	siginfo_t info;

	(void)sig;
	for (;;) {
		info.si_pid = 0;
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0 ||
		    info.si_pid == sweep_known[0] || info.si_pid == sweep_known[1])
			break;
		(void)waitpid(info.si_pid, NULL, WNOHANG);
	}
	errno = error;
}

static void sweep_adopt(const struct sweep *s)
{
	struct sigaction act = { .sa_handler = sweep_orphans, .sa_flags = SA_RESTART };
	sigset_t chld;

	sweep_known[0] = s->v->child;
	kit_must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	sigaction(SIGCHLD, &act, NULL);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_UNBLOCK, &chld, NULL);
}

/* Known before it can end. */
static pid_t sweep_fork(void)
{
	sigset_t chld, old;
	pid_t pid;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, &old);
	pid = kit_must(fork());
	sweep_known[1] = pid;
	sigprocmask(SIG_SETMASK, &old, NULL);
	return pid;
}

/* A death of somebody known, in front of an orphan, may have hidden it. */
static int sweep_wait(pid_t pid)
{
	int status = 0;

	for (unsigned i = 0; i < REMOTE_TOOL_MS; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid) {
			sweep_known[1] = 0;
			sweep_orphans(SIGCHLD);
			return status;
		}
		kit_sleep_ms(1);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -1;
}

static const char *sweep_look(const struct sweep *s)
{
	return s->quick ? victim_harm_quick(s->v) : victim_harm(s->v);
}

static bool sweep_harm(struct sweep *s, unsigned nth, const char *harm)
{
	if (!harm)
		return false;
	/* victim_harm() has waited for it then. */
	s->killed += s->v->child == 0;
	if (s->harmed++ == 0)
		snprintf(s->what, sizeof(s->what), "death %u: %.250s", nth, harm);
	return true;
}

/*
 * What nobody else sees: a child of ours that ran into the void, and only the
 * kernel says so.
 */
static bool sweep_log(int fd, const struct victim *v, char *ret, size_t size)
{
	char text[2048], name[32];
	ssize_t n;

	snprintf(name, sizeof(name), "%s[", v->name);
	while (fd >= 0 && ((n = read(fd, text, sizeof(text) - 1)) > 0 || errno == EPIPE)) {
		if (n <= 0)
			continue;
		text[n] = '\0';
		if (strstr(text, name)) {
			snprintf(ret, size, "the kernel says: %.200s", text);
			return true;
		}
	}
	return false;
}

void remote_sweep(struct sweep *s)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char said[300];
	volatile unsigned *steps = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
					MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;

	sweep_adopt(s);
	if (log >= 0)
		(void)lseek(log, 0, SEEK_END);
	for (unsigned nth = s->first ? s->first : 1;; nth += s->step ? s->step : 1) {
		pid_t pid;

		fflush(NULL);
		pid = sweep_fork();
		if (pid == 0)
			sweep_tool(s, nth, steps);
		status = sweep_wait(pid);
		if (!(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) &&
		    !(WIFEXITED(status) && WEXITSTATUS(status) == TOOL_WENT_ON))
			break;
		s->deaths++;
		s->last = nth;
		if (sweep_harm(s, nth, sweep_look(s)) ||
		    (sweep_log(log, s->v, said, sizeof(said)) && sweep_harm(s, nth, said))) {
			munmap((void *)(uintptr_t)steps, 4096);
			close(log);
			return;
		}
	}
	s->steps = *steps;
	s->whole = true;
	munmap((void *)(uintptr_t)steps, 4096);
	close(log);
	if (status != 0 && s->harmed == 0)
		(void)sweep_harm(s, 0, status == -1 ? "the tool hangs" : "the tool failed");
	(void)sweep_harm(s, 0, sweep_look(s));
}
