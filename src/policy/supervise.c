/* SPDX-License-Identifier: MIT */
#include "policy/supervise.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "policy/child.h"
#include "policy/report.h"
#include "sys/proc.h"
#include "sys/spawn.h"
#include "sys/sys.h"
#include "sys/trace.h"

/* ------------------------------------------------- the filter alone, or nothing */

static int none_fits(const struct policy *p, bool counted, const struct program *program,
		     struct err *reterr)
{
	(void)program;
	for (int call = 0; call < CALL_MAX; call++) {
		int error;

		if (policy_filter(p, counted, (enum policy_call)call, &error) == FILTER_CATCH)
			return err_set(reterr, -ENOTSUP,
				       "none: %s needs a supervisor under this policy",
				       policy_call_name((enum policy_call)call));
	}
	return 0;
}

static int none_begin(struct supervise *s, struct err *reterr)
{
	for (int call = 0; call < CALL_MAX; call++) {
		int error;

		if (policy_filter(&s->policy, s->counted, (enum policy_call)call, &error) ==
		    FILTER_ERROR)
			return filter_make(s, 0, reterr);
	}
	return 0; /* nothing to do at all */
}

static int none_child(struct supervise *s)
{
	return s->filter.filter ? filter_install(s, 0) : 0;
}

static int none_run(struct supervise *s, struct ended *ret, struct err *reterr)
{
	int failed = child_ran(s, reterr), r;

	do {
		r = sys_waitpid(s->pid, &ret->status, 0);
	} while (r == -EINTR);
	return failed < 0 ? failed : r < 0 ? err_errno(reterr, r, "wait") : 0;
}

static void none_end(struct supervise *s)
{
	(void)s;
}

const struct mechanism mechanism_none = {
	.name = "none",
	.fits = none_fits,
	.begin = none_begin,
	.child = none_child,
	.run = none_run,
	.end = none_end,
};

/* ------------------------------------------------------------- the skeleton */

struct skeleton {
	const struct supervise_request *q;
	sigset_t mask;
	struct sigaction chld;       /* the caller's, for SIGCHLD */
	struct supervise s;
	struct ended ended;
	struct err err;
	int result;
};

static size_t skeleton_words(const char *const *argv)
{
	size_t n = 0;

	while (argv[n])
		n++;
	return n;
}

/* Fork; the parent comes back. */
static int skeleton_fork(struct skeleton *k, const char **script)
{
	struct supervise *s = &k->s;
	struct child c = { s, k->q->mechanism, &k->mask, script,
			   k->chld.sa_handler == SIG_IGN };
	int pair[2], r = sys_socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);

	if (r < 0)
		return err_errno(&k->err, r, "socketpair");
	s->pid = sys_fork();
	if (s->pid == 0) {
		(void)sys_close(pair[0]);
		s->sync = pair[1];
		child_main(&c);
	}
	(void)sys_close(pair[1]);
	s->sync = pair[0];
	if (s->pid < 0)
		return err_errno(&k->err, s->pid, "fork");
	s->pidfd = sys_pidfd_open(s->pid, 0);
	return s->pidfd < 0 ? err_errno(&k->err, s->pidfd, "pidfd_open") : 0;
}

/* Whoever is not there any more does not mind. */
static void skeleton_kill(struct supervise *s)
{
	int status;

	if (s->pid <= 0)
		return;
	(void)sys_kill(s->pid, SIGKILL);
	while (sys_waitpid(s->pid, &status, 0) == -EINTR)
		;
}

static int skeleton_start(struct skeleton *k)
{
	struct supervise *s = &k->s;
	_cleanup_free_ const char **script = sys_calloc(skeleton_words(s->argv) + 3,
							sizeof(*script));
	int r;

	if (!script)
		return err_set(&k->err, -ENOMEM, "out of memory");
	r = k->q->mechanism->begin(s, &k->err);
	if (r == 0)
		r = skeleton_fork(k, script);
	if (r < 0) {
		skeleton_kill(s);
		return r;
	}
	if (k->q->started)
		k->q->started(k->q->arg, s->pid);
	return k->q->mechanism->run(s, &k->ended, &k->err);
}

static void *skeleton_main(void *arg)
{
	struct skeleton *k = arg;

	k->result = skeleton_start(k);
	k->q->mechanism->end(&k->s);
	if (k->s.nnp)
		report_note(k->s.report, "no_new_privs had to be set: setuid programs that it "
			    "starts have no more rights than it has");
	(void)sys_close(k->s.sync);
	(void)sys_close(k->s.pidfd);
	free(k->s.filter.filter);
	return NULL;
}

/*
 * A caller that ignores SIGCHLD (or whose own parent did: it is inherited) gets
 * no exit status of any child.  And where nobody handles it, it shall not be
 * sent at all: each stop of a traced thread would wake the caller's for it.
 */
static int skeleton_see_ends(struct skeleton *k)
{
	struct sigaction plain = { .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDSTOP };
	int r = sys_sigaction(SIGCHLD, NULL, &k->chld);

	if (r < 0 || (k->chld.sa_handler != SIG_IGN && k->chld.sa_handler != SIG_DFL &&
		      !(k->chld.sa_flags & SA_NOCLDWAIT)))
		return r;
	return sys_sigaction(SIGCHLD, &plain, NULL);
}

int supervise(const struct supervise_request *q, struct ended *ret, struct err *reterr)
{
	struct skeleton k = {
		.q = q,
		.s = {
			.policy = q->policy, .counted = q->counted, .argv = q->argv,
			.envp = (const char **)sys_environ(), .program = *q->program,
			.report = q->report, .pidfd = -1, .sync = -1, .board = -1,
			.dumper = q->dumper,
		},
	};
	pthread_t thread;
	int r = sys_sigmask(SIG_BLOCK, NULL, &k.mask);

	if (r < 0)
		return err_errno(reterr, r, "sigprocmask");
	r = skeleton_see_ends(&k);
	if (r < 0)
		return err_errno(reterr, r, "sigaction");
	/*
	 * A thread of its own: waits and ptrace are bound to threads, so that
	 * children of the caller's are never taken for ours.
	 */
	r = sys_thread_create(&thread, "decant-run", skeleton_main, &k);
	if (r == 0)
		(void)sys_thread_join(thread);
	(void)sys_sigaction(SIGCHLD, &k.chld, NULL);
	if (r < 0)
		return err_errno(reterr, r, "supervisor's thread");
	*ret = k.ended;
	if (k.result < 0)
		return err_set(reterr, k.result, "%s", k.err.text);
	return 0;
}
