/* SPDX-License-Identifier: MIT */
/* What parent and child tell each other between fork and exec. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "policy/child.h"
#include "sys/spawn.h"
#include "sys/sys.h"
#include "sys/trace.h"

enum child_word { CHILD_GO = 1, CHILD_NUMBER, CHILD_NNP, CHILD_FAILED };

struct child_message {
	int32_t word, number, stage;
};

static int child_send(int fd, enum child_word word, int number, int stage)
{
	struct child_message m = { (int32_t)word, number, stage };
	ssize_t n = sys_send(fd, &m, sizeof(m), MSG_NOSIGNAL);

	return n < 0 ? (int)n : 0;
}

/* 0: nothing more comes. */
static int child_receive(int fd, struct child_message *ret)
{
	ssize_t n = sys_recv(fd, ret, sizeof(*ret), 0);

	return n < 0 ? (int)n : n == (ssize_t)sizeof(*ret) ? 1 : 0;
}

int child_tell(struct supervise *s, int number)
{
	return child_send(s->sync, CHILD_NUMBER, number, 0);
}

int child_wait(struct supervise *s)
{
	struct child_message m;
	int r = child_receive(s->sync, &m);

	return r < 0 ? r : r == 0 ? -ECHILD : 0;
}

int child_go(struct supervise *s)
{
	return child_send(s->sync, CHILD_GO, 0, 0);
}

static const char *child_stage(int stage)
{
	return stage == CHILD_STAGE_EXEC ? "cannot be executed" : "policy: cannot be put on it";
}

static int child_take(struct supervise *s, const struct child_message *m, struct err *reterr)
{
	if (m->word == CHILD_NNP)
		s->nnp = true;
	if (m->word == CHILD_FAILED && m->number < 0)
		return err_errno(reterr, m->number, "%s: %s", s->argv[0], child_stage(m->stage));
	return 0;
}

int child_hear(struct supervise *s)
{
	struct child_message m;
	int r;

	while ((r = child_receive(s->sync, &m)) > 0) {
		if (m.word == CHILD_NUMBER)
			return m.number;
		r = child_take(s, &m, NULL);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : -ECHILD;
}

int child_ran(struct supervise *s, struct err *reterr)
{
	struct child_message m;
	int r;

	while ((r = child_receive(s->sync, &m)) > 0) {
		r = child_take(s, &m, reterr);
		if (r < 0)
			return r;
	}
	/* A descriptor that was closed by the exec, or by the end of the child. */
	return r == -ECONNRESET ? 0 : r;
}

/* ------------------------------------------------------------ in the child */

/*
 * Handlers are the caller's: none of them may run here.  An exec does the same,
 * but signals are let in before that.
 */
static void child_signals(const struct child *c)
{
	struct sigaction act, plain = { .sa_handler = SIG_DFL };
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	for (int sig = 1; sig < NSIG; sig++)
		if (sys_sigaction(sig, NULL, &act) == 0 && act.sa_handler != SIG_DFL &&
		    act.sa_handler != SIG_IGN)
			(void)sys_sigaction(sig, &plain, NULL);
	if (c->ignores_chld)
		(void)sys_sigaction(SIGCHLD, &ignore, NULL);
	(void)sys_sigmask(SIG_SETMASK, c->mask, NULL);
}

/* As execvp(): a file of no known format is a script. */
static int child_exec(const struct child *c)
{
	const char *const *argv = c->s->argv;
	size_t n = 0;
	int r = sys_execve(c->s->program.path, (char *const *)argv, (char *const *)c->s->envp);

	if (r != -ENOEXEC)
		return r;
	while (argv[n])
		n++;
	c->script[0] = "/bin/sh";
	c->script[1] = c->s->program.path;
	memcpy(c->script + 2, argv + 1, n * sizeof(*argv));
	return sys_execve(c->script[0], (char *const *)c->script, (char *const *)c->s->envp);
}

void child_main(const struct child *c)
{
	struct supervise *s = c->s;
	int r = c->mechanism->child(s), stage = CHILD_STAGE_MECHANISM;

	if (r >= 0 && s->nnp)
		r = child_send(s->sync, CHILD_NNP, 0, 0);
	if (r >= 0) {
		stage = CHILD_STAGE_EXEC;
		child_signals(c);
		r = child_exec(c);
	}
	(void)child_send(s->sync, CHILD_FAILED, r, stage);
	sys_exit(CHILD_FAILED_STATUS);
}
