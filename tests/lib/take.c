/* SPDX-License-Identifier: MIT */
#include "lib/take.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/kit.h"

#define TAKE_LIMIT_NS 25000000000ULL
#define TAKE_WORDS_MAX 40

bool take_by_gcore(void)
{
	const char *taker = getenv("DECANT_TEST_TAKER");

	return taker && strcmp(taker, "gcore") == 0;
}

static int take_split(char *text, char **words, int n)
{
	char *save = NULL, *word;

	for (word = strtok_r(text, " ", &save); word && n < TAKE_WORDS_MAX;
	     word = strtok_r(NULL, " ", &save))
		words[n++] = word;
	return n;
}

static _Noreturn void take_exec(pid_t pid, const char *path, const char *words,
				const char *environment)
{
	char *argv[TAKE_WORDS_MAX + 8], pid_text[16], prefix[300], *w = strdup(words);
	char *set[TAKE_WORDS_MAX], *e = strdup(environment);
	const char *program = getenv("DECANT");
	int n, i;

	snprintf(pid_text, sizeof(pid_text), "%d", pid);
	n = take_split(e, set, 0);
	for (i = 0; i < n; i++)
		putenv(set[i]);
	if (take_by_gcore()) {
		/* It puts the pid behind the name itself: PATH.PID, renamed later. */
		snprintf(prefix, sizeof(prefix), "%s", path);
		execlp("gcore", "gcore", "-o", prefix, pid_text, (char *)NULL);
		kit_die("gcore: %s", strerror(errno));
	}
	argv[0] = (char *)(program ? program : "decant");
	argv[1] = (char *)"core";
	argv[2] = pid_text;
	argv[3] = (char *)"-o";
	argv[4] = (char *)path;
	n = take_split(w, argv, 5);
	argv[n] = NULL;
	execvp(argv[0], argv);
	kit_die("%s: %s", argv[0], strerror(errno));
}

void take_begin(struct take *t, pid_t pid, const char *path, const char *words,
		const char *environment)
{
	int out[2];

	memset(t, 0, sizeof(*t));
	snprintf(t->path, sizeof(t->path), "%s", path);
	kit_must(pipe2(out, O_CLOEXEC));
	t->began_ns = kit_now_ns();
	fflush(NULL);
	t->pid = kit_must(fork());
	if (t->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], 2);
		/* A core that goes to stdout has a stdout of its own. */
		if (strcmp(path, "-") != 0)
			dup2(out[1], 1);
		take_exec(pid, path, words, environment);
	}
	close(out[1]);
	t->out_fd = out[0];
}

/* What it says, until it closes its end. */
static void take_listen(struct take *t, uint64_t until)
{
	struct pollfd p = { .fd = t->out_fd, .events = POLLIN };
	size_t len = strlen(t->text);
	char rest[512];
	ssize_t r;

	while (kit_now_ns() < until) {
		if (poll(&p, 1, 20) > 0) {
			bool room = len + 1 < sizeof(t->text);

			r = read(t->out_fd, room ? t->text + len : rest,
				 room ? sizeof(t->text) - 1 - len : sizeof(rest));
			if (r <= 0)
				return;
			if (room)
				len += (size_t)r;
		} else if (kill(t->pid, 0) != 0) {
			return;
		}
	}
}

const char *take_path(const char *dir)
{
	static char path[300];

	snprintf(path, sizeof(path), "%s/core.%d", dir, getpid());
	(void)unlink(path);
	return path;
}

bool take_end(struct take *t)
{
	uint64_t until = t->began_ns + TAKE_LIMIT_NS * (kit_slow_build() ? 4 : 1);
	char by_gcore[320];

	take_listen(t, until);
	if (kit_now_ns() >= until) {
		t->late = true;
		kill(t->pid, SIGKILL);
	}
	while (waitpid(t->pid, &t->status, 0) < 0 && errno == EINTR)
		;
	t->took_ns = kit_now_ns() - t->began_ns;
	close(t->out_fd);
	if (take_by_gcore() && t->status == 0) {
		const char *number = strstr(t->text, "Saved corefile ");

		if (number && sscanf(number + 15, "%319s", by_gcore) == 1)
			(void)rename(by_gcore, t->path);
	}
	t->pid = 0;
	return t->status == 0 && !t->late;
}

bool take_core(struct take *t, pid_t pid, const char *path, const char *words,
	       const char *environment)
{
	take_begin(t, pid, path, words, environment);
	return take_end(t);
}

uint64_t take_number(const struct take *t, const char *key, uint64_t otherwise)
{
	char quoted[64];
	const char *at;

	snprintf(quoted, sizeof(quoted), "\"%s\":", key);
	at = strstr(t->text, quoted);
	return at ? strtoull(at + strlen(quoted), NULL, 10) : otherwise;
}
