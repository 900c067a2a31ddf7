/* SPDX-License-Identifier: MIT */
/* Part of victim-semantics: threads and processes that share pipes, or do not. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "semantics.h"

static int sem_pair[2];

static void *thread_writes(void *arg)
{
	uint64_t record[2] = { (uintptr_t)arg, 0 };

	for (int i = 0; i < 500; i++) {
		ssize_t r;

		record[1] = (uint64_t)i;
		do {
			r = sem_put(sem_pair[1], record, sizeof(record), 0);
		} while (r < 0 && errno == EINTR);
		if (r != sizeof(record))
			printf("thread: %zd\n", r);
	}
	return NULL;
}

/* More writers than slots, and a slow reader: all of them wait at times. */
void case_threads(void)
{
	pthread_t t[24];
	uint64_t next[24] = { 0 }, record[2];
	unsigned wrong = 0, n = 0;

	sem_pipe(sem_pair, 0);
	for (uintptr_t i = 0; i < 24; i++)
		pthread_create(&t[i], NULL, thread_writes, (void *)i);
	/* Whole records: a shared buffer of another thread's would be seen. */
	while (n < 24 * 500 && read(sem_pair[0], record, sizeof(record)) == sizeof(record)) {
		if (sem_mode == SEM_CALL && !getenv("SEM_POLICY")) {
			n++;
			continue; /* natively the record may be a later one already */
		}
		wrong += record[0] >= 24 || record[1] != next[record[0]]++;
		n++;
	}
	for (int i = 0; i < 24; i++)
		pthread_join(t[i], NULL);
	printf("%u records, %u wrong\n", n, wrong);
}

static void *thread_private(void *arg)
{
	int p[2];

	(void)arg;
	(void)unshare(CLONE_FILES);
	close(sem_pair[0]);
	close(sem_pair[1]);
	sem_pipe(p, 0); /* the same numbers, other pipes */
	printf("%s\n", p[1] == sem_pair[1] ? "same number" : "other number");
	sem_say("private", sem_put(p[1], sem_buf, 77, 0));
	sem_say("read", read(p[0], sem_got, 100));
	return NULL;
}

void case_private(void)
{
	pthread_t t;

	sem_pipe(sem_pair, 0);
	pthread_create(&t, NULL, thread_private, NULL);
	pthread_join(t, NULL);
	(void)fcntl(sem_pair[0], F_SETFL, O_NONBLOCK);
	sem_say("ours is empty", read(sem_pair[0], sem_got, 100));
}

static void *thread_closes(void *arg)
{
	(void)arg;
	usleep(50000);
	close(sem_pair[1]);
	usleep(50000);
	sem_say("drained", read(sem_pair[0], sem_got, PIPE_BYTES));
	return NULL;
}

/* The call goes on with the pipe that it has. */
void case_closed(void)
{
	pthread_t t;
	ssize_t r;

	sem_pipe(sem_pair, 0);
	sem_stuff(sem_pair[1]);
	pthread_create(&t, NULL, thread_closes, NULL);
	r = sem_put(sem_pair[1], sem_buf, 10, 0);
	pthread_join(t, NULL);
	if (sem_mode == SEM_V2 || getenv("SEM_POLICY_V2"))
		printf("a closed descriptor in the middle: %s\n",
		       r == 10 || (r < 0 && errno == EBADF) ? "written or EBADF" : "wrong");
	else
		sem_say("a closed descriptor in the middle", r);
}

static char sem_basic[] = "basic";

void case_processes(void)
{
	char *argv[] = { sem_self, sem_basic, sem_word, NULL };
	int p[2];
	pid_t pid;

	sem_pipe(p, 0);
	pid = sem_fork();
	if (pid == 0) {
		sem_say("child", sem_put(p[1], sem_buf, 100, 0));
		fflush(stdout);
		_exit(0);
	}
	sem_reap(pid);
	sem_say("read", read(p[0], sem_got, SEM_PAGE));
	fflush(stdout);
	pid = vfork();
	if (pid == 0) {
		execv(argv[0], argv);
		_exit(1);
	}
	sem_reap(pid);
	sem_say("after vfork and exec", sem_put(p[1], sem_buf, 10, 0));
	fflush(stdout);
	execv(argv[0], argv);
}

static void *thread_execs(void *arg)
{
	char *argv[] = { sem_self, sem_basic, sem_word, NULL };

	(void)arg;
	usleep(20000);
	execv(argv[0], argv);
	return NULL;
}

/* exec by a thread that is not the first, while others make calls. */
void case_thread_exec(void)
{
	pthread_t t[3];

	sem_pipe(sem_pair, 0);
	sem_stuff(sem_pair[1]);
	pthread_create(&t[0], NULL, thread_writes, NULL);
	pthread_create(&t[1], NULL, thread_writes, NULL);
	pthread_create(&t[2], NULL, thread_execs, NULL);
	pause();
}
