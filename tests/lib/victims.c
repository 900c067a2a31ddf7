/* SPDX-License-Identifier: MIT */
#include "lib/victims.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/kit.h"

#define VICTIM_ARGS_MAX 40
/* A tracer that was killed needs a moment to die, a victim to make a round. */
#define VICTIM_PATIENCE_MS 8000

static char harm_text[400];

__attribute__((format(printf, 1, 2))) static const char *harm_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(harm_text, sizeof(harm_text), fmt, ap);
	va_end(ap);
	return harm_text;
}

/* ---------------------------------------------------------- what /proc says */

/* A whole file of /proc; "" when it cannot be read.  The caller's to free. */
__attribute__((format(printf, 1, 2))) static char *proc_text(const char *fmt, ...)
{
	size_t len = 0, size = 4096;
	char path[128], *text = malloc(size);
	ssize_t r = 0;
	va_list ap;
	int fd;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && (r = read(fd, text + len, size - len - 1)) > 0) {
		len += (size_t)r;
		if (size - len < 2048)
			text = realloc(text, size *= 2);
	}
	if (fd >= 0)
		close(fd);
	text[len] = '\0';
	return text;
}

/* The state letter of a thread, 0 when there is none. */
static char proc_state(pid_t pid, pid_t tid)
{
	char *text = proc_text("/proc/%d/task/%d/stat", pid, tid);
	char *at = strrchr(text, ')'), state = at && at[1] ? at[2] : 0;

	free(text);
	return state;
}

/* Descriptors and where they go: "0 /dev/null\n...". */
static char *proc_fds(pid_t pid)
{
	char path[300], to[256], *text = calloc(1, 1 << 16);
	struct dirent **names;
	size_t len = 0;
	ssize_t r;
	int i, n;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	n = scandir(path, &names, NULL, alphasort);
	for (i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%s", pid, names[i]->d_name);
		r = readlink(path, to, sizeof(to) - 1);
		if (r > 0 && len < (1 << 16) - 600)
			len += (size_t)sprintf(text + len, "%s %.*s\n", names[i]->d_name,
					       (int)r, to);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return text;
}

/* The lines of status that say what signals do. */
static char *proc_signals(pid_t pid, bool with_mask)
{
	static const char *const keys[] = { "SigIgn:", "SigCgt:", "NoNewPrivs:", "SigBlk:" };
	char *text = proc_text("/proc/%d/status", pid), *out = calloc(1, 400);
	size_t i;

	for (i = 0; i < 3 + (size_t)with_mask; i++) {
		const char *at = strstr(text, keys[i]);

		if (at)
			strncat(out, at, strcspn(at, "\n") + 1);
	}
	free(text);
	return out;
}

static long proc_number(pid_t pid, const char *key)
{
	char *text = proc_text("/proc/%d/status", pid), *at = strstr(text, key);
	long n = at ? strtol(at + strlen(key), NULL, 10) : -1;

	free(text);
	return n;
}

/* The first line in which two texts differ. */
static const char *text_difference(const char *before, const char *now)
{
	static char text[300];
	size_t a, b;

	while (*before && *now) {
		a = strcspn(before, "\n");
		b = strcspn(now, "\n");
		if (a != b || memcmp(before, now, a) != 0)
			break;
		before += a + (before[a] != 0);
		now += b + (now[b] != 0);
	}
	snprintf(text, sizeof(text), "\"%.*s\" is now \"%.*s\"", (int)strcspn(before, "\n"), before,
		 (int)strcspn(now, "\n"), now);
	return text;
}

/* -------------------------------------------------------------------- start */

static _Noreturn void victim_exec(int report_fd, const char *name, char *command)
{
	char *argv[VICTIM_ARGS_MAX + 6], *save = NULL, *word, path[400], fd_text[16];
	const char *build = getenv("DECANT_BUILD");
	int n = 0;

	for (word = strtok_r(command, " ", &save); word && n < VICTIM_ARGS_MAX;
	     word = strtok_r(NULL, " ", &save))
		argv[n++] = word;
	snprintf(path, sizeof(path), "%s/tests/victims/victim-%s", build ? build : ".", argv[0]);
	snprintf(fd_text, sizeof(fd_text), "%d", report_fd);
	argv[n++] = (char *)"--report-fd";
	argv[n++] = fd_text;
	argv[n++] = (char *)"--name";
	argv[n++] = (char *)name;
	argv[n] = NULL;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execv(path, argv);
	kit_die("%s: %s", path, strerror(errno));
}

static void victim_before(struct victim *v)
{
	v->maps = proc_text("/proc/%d/maps", v->pid);
	v->fds = proc_fds(v->pid);
	v->signals = proc_signals(v->pid, !(v->habits & VICTIM_SIGMASK));
	v->rounds = v->report->rounds;
}

void victim_begin(struct victim *v, unsigned habits, const char *fmt, ...)
{
	static unsigned number;
	uint64_t until = kit_now_ns() + 60000000000ULL;
	int fd, status;
	char command[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	memset(v, 0, sizeof(*v));
	v->habits = habits;
	snprintf(v->name, sizeof(v->name), "v%d-%u", getpid(), number++);
	fd = kit_must(memfd_create("report", MFD_CLOEXEC));
	kit_must(ftruncate(fd, REPORT_BYTES));
	v->report = kit_must(mmap(NULL, REPORT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	fflush(NULL);
	v->child = kit_must(fork());
	if (v->child == 0) {
		kit_must(fcntl(fd, F_SETFD, 0));
		victim_exec(fd, v->name, command);
	}
	close(fd);
	while (!__atomic_load_n(&v->report->ready, __ATOMIC_ACQUIRE)) {
		if (kit_now_ns() > until || waitpid(v->child, &status, WNOHANG) != 0)
			kit_die("the victim \"%s\" does not start", fmt);
		kit_sleep_ms(1);
	}
	v->pid = v->report->host_pid ? v->report->host_pid : v->child;
	kit_sleep_ms(5);
	victim_before(v);
}

bool victim_ended(struct victim *v, int *ret_status)
{
	if (v->child == 0 || waitpid(v->child, ret_status, WNOHANG) == 0)
		return false;
	v->child = 0;
	return true;
}

void victim_end(struct victim *v)
{
	if (v->pid != v->child)
		kill(v->pid, SIGKILL);
	if (v->child > 0) {
		kill(v->child, SIGKILL);
		waitpid(v->child, NULL, 0);
	}
	munmap((void *)v->report, REPORT_BYTES);
	free(v->maps);
	free(v->fds);
	free(v->signals);
	memset(v, 0, sizeof(*v));
}

void victim_reset_gaps(struct victim *v)
{
	unsigned i;

	v->report->reset_gaps = 1;
	for (i = 0; v->report->reset_gaps && i < 2000; i++)
		kit_sleep_ms(1);
}

uint64_t victim_huge_bytes(const struct victim *v)
{
	char *text = proc_text("/proc/%d/smaps_rollup", v->pid);
	char *at = strstr(text, "AnonHugePages:");
	uint64_t kib = at ? strtoull(at + 14, NULL, 10) : 0;

	free(text);
	return kib << 10;
}

/* --------------------------------------------------------------------- harm */

/* Does no thread stand still?  The sentence if one does. */
static const char *harm_stopped(const struct victim *v)
{
	char path[64], want = v->habits & VICTIM_STOPPED ? 'T' : 0, state;
	const char *wrong = NULL;
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", v->pid);
	dir = opendir(path);
	if (!dir)
		return harm_say("it is gone");
	while (!wrong && (e = readdir(dir))) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		state = proc_state(v->pid, atoi(e->d_name));
		if (state == 't' || (state == 'T' && !want) || (want && state && state != want))
			wrong = harm_say("thread %s is in state %c", e->d_name, state);
	}
	closedir(dir);
	return wrong;
}

/* The first process that is wrong; text is its /proc/PID/stat. */
static const char *harm_scan(const struct victim *v,
			     bool (*wrong)(const struct victim *, const char *text))
{
	const char *found = NULL;
	struct dirent *e;
	char *text;
	DIR *dir = opendir("/proc");
	pid_t pid;

	while (!found && (e = readdir(dir))) {
		pid = atoi(e->d_name);
		if (pid <= 0 || pid == v->pid || pid == v->child)
			continue;
		text = proc_text("/proc/%d/stat", pid);
		if (wrong(v, text))
			found = harm_say("there is another process of it: %.80s", text);
		free(text);
	}
	closedir(dir);
	return found;
}

/* A process with the victim's name that is not the victim: a shadow. */
static bool shadow_is(const struct victim *v, const char *text)
{
	const char *name = strchr(text, '(');
	size_t len = strlen(v->name);

	return name && strncmp(name + 1, v->name, len) == 0 && name[1 + len] == ')';
}

/* Its own children come and go; what stays is not its own. */
static bool child_is(const struct victim *v, const char *text)
{
	const char *end = strrchr(text, ')');
	int parent = 0;

	return end && sscanf(end + 1, " %*c %d", &parent) == 1 && parent == v->pid;
}

static const char *harm_shadow(const struct victim *v)
{
	return harm_scan(v, shadow_is);
}

static const char *harm_child(const struct victim *v)
{
	return v->habits & VICTIM_FAMILY ? NULL : harm_scan(v, child_is);
}

static const char *harm_traced(const struct victim *v)
{
	long tracer = proc_number(v->pid, "TracerPid:");

	return tracer > 0 ? harm_say("it is traced by %ld", tracer) : harm_stopped(v);
}

static const char *harm_round(const struct victim *v)
{
	if (v->habits & (VICTIM_STILL | VICTIM_STOPPED) || v->report->rounds > v->rounds + 1)
		return NULL;
	return harm_say("it makes no rounds any more (%llu)",
			(unsigned long long)v->report->rounds);
}

static const char *harm_said(const struct victim *v)
{
	if (v->report->foreign)
		return harm_say("a copy of it has run");
	if (v->report->errors)
		return harm_say("it found %llu errors, the first: %s",
				(unsigned long long)v->report->errors, v->report->what);
	return NULL;
}

static const char *harm_changed(const char *what, const char *before, char *now)
{
	const char *wrong = NULL;

	if (before && strcmp(before, now) != 0)
		wrong = harm_say("%s: %s", what, text_difference(before, now));
	free(now);
	return wrong;
}

static const char *harm_maps(const struct victim *v)
{
	if (v->habits & (VICTIM_MAPS | VICTIM_THREADS))
		return NULL;
	return harm_changed("its mappings changed", v->maps, proc_text("/proc/%d/maps", v->pid));
}

static const char *harm_fds(const struct victim *v)
{
	if (v->habits & VICTIM_FDS)
		return NULL;
	return harm_changed("its descriptors changed", v->fds, proc_fds(v->pid));
}

static const char *harm_signals(const struct victim *v)
{
	return harm_changed("its signals changed", v->signals,
			    proc_signals(v->pid, !(v->habits & VICTIM_SIGMASK)));
}

/* Ask until it says that all is well, or patience ends. */
static const char *harm_wait(const struct victim *v, const char *(*ask)(const struct victim *))
{
	uint64_t until = kit_now_ns() + VICTIM_PATIENCE_MS * 1000000ULL *
			 (kit_slow_build() ? 4 : 1);
	const char *wrong;
	unsigned ms = 1;

	while ((wrong = ask(v)) && kit_now_ns() < until) {
		kit_sleep_ms(ms);
		ms = ms < 50 ? ms * 2 : 50;
	}
	return wrong;
}

static const char *harm_asked(struct victim *v,
			      const char *(*const asks[])(const struct victim *), size_t n)
{
	const char *wrong = NULL;
	int status;
	size_t i;

	if (victim_ended(v, &status))
		return harm_say("it died of signal %d, status %d", WTERMSIG(status),
				WEXITSTATUS(status));
	v->rounds = v->report->rounds;
	for (i = 0; i < n && !wrong; i++)
		wrong = harm_wait(v, asks[i]);
	if (wrong && victim_ended(v, &status))
		return harm_say("it died of signal %d, status %d", WTERMSIG(status),
				WEXITSTATUS(status));
	return wrong;
}

const char *victim_harm_quick(struct victim *v)
{
	static const char *(*const asks[])(const struct victim *) = {
		harm_traced, harm_round, harm_said,
	};

	return harm_asked(v, asks, sizeof(asks) / sizeof(*asks));
}

const char *victim_harm(struct victim *v)
{
	static const char *(*const asks[])(const struct victim *) = {
		harm_traced, harm_round, harm_said, harm_shadow, harm_child, harm_maps, harm_fds,
		harm_signals,
	};

	return harm_asked(v, asks, sizeof(asks) / sizeof(*asks));
}
