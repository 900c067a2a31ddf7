/* SPDX-License-Identifier: MIT */
#include "serve_master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"
#include "wait.h"

#define MASTER_YOUNG_NS UINT64_C(1000000000)
/* So many that died young, one after the other: it is not their fault. */
#define MASTER_YOUNG_MAX 5

struct master_worker {
	pid_t pid;           /* 0: none */
	uint64_t begun_ns;
};

struct master {
	const struct serve_master *m;
	struct master_worker *workers;
	unsigned running, young;
	int stopping;        /* 1: asked to end, 2: at once, 3: whatever it does */
	int status;
	sigset_t set;
};

/* -------------------------------------------------------------- a worker */

static const struct serve_master *master_self;

static void master_on_stop(int sig)
{
	int saved = errno;

	decant_serve_stop(master_self->server, sig == SIGTERM ? master_self->grace_ms : 0);
	errno = saved;
}

/* What was the log was moved away: what comes now goes to a new one. */
static void master_on_hup(int sig)
{
	int saved = errno, fd;

	(void)sig;
	fd = open(master_self->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
	if (fd >= 0) {
		(void)dup3(fd, master_self->log_fd, O_CLOEXEC);
		(void)close(fd);
	}
	errno = saved;
}

static void master_handle(int sig, void (*handler)(int))
{
	struct sigaction act = { .sa_handler = handler, .sa_flags = SA_RESTART };

	(void)sigemptyset(&act.sa_mask);
	(void)sigaction(sig, &act, NULL);
}

static int master_work(struct master *s, uint32_t number, pid_t parent)
{
	struct decant_serve_report report = DECANT_SERVE_REPORT_INIT;
	int r;

	master_self = s->m;
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	master_handle(SIGTERM, master_on_stop);
	master_handle(SIGQUIT, master_on_stop);
	/* A terminal's Ctrl-C is for the master, which tells us. */
	master_handle(SIGINT, SIG_IGN);
	if (s->m->log)
		master_handle(SIGHUP, master_on_hup);
	else
		master_handle(SIGHUP, SIG_IGN);
	(void)sigprocmask(SIG_UNBLOCK, &s->set, NULL);
	if (getppid() != parent)
		decant_serve_stop(s->m->server, s->m->grace_ms);
	r = decant_serve_run(s->m->server, number, &report);
	/* What is handled uses a server that is about to be closed. */
	master_handle(SIGTERM, SIG_IGN);
	master_handle(SIGQUIT, SIG_IGN);
	master_handle(SIGHUP, SIG_IGN);
	if (r < 0)
		cli_error("%s", report.message);
	return r < 0 ? CLI_FAILED : CLI_OK;
}

/* ------------------------------------------------------------ the master */

/* 0 in the master; 1 in the worker, when it has ended; -1: no process. */
static int master_start(struct master *s, uint32_t number)
{
	pid_t self = getpid(), pid;

	(void)fflush(NULL);
	pid = fork();
	if (pid < 0) {
		cli_error("worker %u: %s", number, strerror(errno));
		return -1;
	}
	if (pid == 0) {
		s->status = master_work(s, number, self);
		return 1;
	}
	s->workers[number].pid = pid;
	s->workers[number].begun_ns = waiter_now_ns();
	s->running++;
	return 0;
}

static void master_kill(struct master *s, int sig)
{
	for (uint32_t i = 0; i < s->m->workers_n; i++)
		if (s->workers[i].pid > 0)
			(void)kill(s->workers[i].pid, sig);
}

static void master_stop(struct master *s)
{
	s->stopping++;
	/* SIGKILL: a disk that does not answer keeps a worker even from that. */
	master_kill(s, s->stopping > 2 ? SIGKILL : s->stopping > 1 ? SIGQUIT : SIGTERM);
}

/* Everybody ends, for there is no point in going on. */
static void master_give_up(struct master *s)
{
	s->status = CLI_FAILED;
	if (!s->stopping)
		master_stop(s);
}

static void master_tell(uint32_t number, int status)
{
	if (WIFSIGNALED(status))
		cli_error("worker %u: died of SIG%s; another takes its place", number,
			  sigabbrev_np(WTERMSIG(status)));
	else
		cli_error("worker %u: ended with status %d; another takes its place", number,
			  WEXITSTATUS(status));
}

/* As master_start(). */
static int master_reap(struct master *s)
{
	int status, r = 0;
	pid_t pid;

	while (r == 0 && (pid = waitpid(-1, &status, WNOHANG)) > 0) {
		uint32_t i = 0;

		while (i < s->m->workers_n && s->workers[i].pid != pid)
			i++;
		if (i == s->m->workers_n)
			continue;
		s->workers[i].pid = 0;
		s->running--;
		if (s->stopping)
			continue;
		s->young = waiter_now_ns() - s->workers[i].begun_ns < MASTER_YOUNG_NS ?
			   s->young + 1 : 0;
		if (s->young > MASTER_YOUNG_MAX) {
			cli_error("worker %u: dies again and again", i);
			master_give_up(s);
			continue;
		}
		master_tell(i, status);
		r = master_start(s, i);
		if (r < 0) {
			master_give_up(s);
			r = 0;
		}
	}
	return r;
}

/* As master_start(): 1 in a worker. */
static int master_watch(struct master *s)
{
	while (s->running > 0) {
		int sig = sigwaitinfo(&s->set, NULL), r;

		switch (sig) {
		case SIGINT:
		case SIGTERM:
			master_stop(s);
			break;
		case SIGQUIT:
			s->stopping = 1;
			master_stop(s);
			break;
		case SIGHUP:
			master_kill(s, SIGHUP);
			break;
		default:
			break;
		}
		r = master_reap(s);
		if (r)
			return r;
	}
	return 0;
}

static void master_block(struct master *s)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGCHLD };
	struct sigaction old;

	(void)sigemptyset(&s->set);
	/* A child whose end is ignored cannot be waited for. */
	(void)signal(SIGCHLD, SIG_DFL);
	/* Somebody must be able to end it. */
	(void)signal(SIGTERM, SIG_DFL);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		/* nohup, a shell's background jobs: what was ignored stays so */
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			(void)sigaddset(&s->set, signals[i]);
	(void)sigprocmask(SIG_BLOCK, &s->set, NULL);
}

int serve_master_run(const struct serve_master *m, bool *ret_worker)
{
	struct master s = { .m = m };
	int r = 0;

	*ret_worker = false;
	s.workers = calloc(m->workers_n, sizeof(*s.workers));
	if (!s.workers) {
		cli_error("out of memory");
		return CLI_FAILED;
	}
	master_block(&s);
	for (uint32_t i = 0; r == 0 && i < m->workers_n; i++)
		r = master_start(&s, i);
	if (r < 0)
		master_give_up(&s);
	if (r <= 0)
		r = master_watch(&s);
	free(s.workers);
	*ret_worker = r == 1;
	return s.status;
}
