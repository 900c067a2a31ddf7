/* SPDX-License-Identifier: MIT */
#include "lib/dumped.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/kit.h"
#include "tap.h"

#define LIMIT_NS 60000000000ull

char dir[256];
const char *dumped_fault;
size_t dumped_ballast_bytes;

void begin(void)
{
	snprintf(dir, sizeof(dir), "%s/decant-predump.XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp");
	need(mkdtemp(dir), "a directory");
}

void end(void)
{
	kit_sh("rm -rf %s", dir);
}

/* ----------------------------------------------------------- running decant */

static unsigned descriptors(pid_t pid)
{
	char path[64];
	unsigned n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	d = opendir(path);
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n > 2 ? n - 2 : 0;
}

bool tool(struct told *ret, uint64_t kill_ns, const char *fmt, ...)
{
	char words[1000], *argv[40] = { getenv("DECANT") }, *save = NULL;
	uint64_t began = kit_now_ns();
	int out[2], n = 1;
	struct rusage used;
	size_t len = 0;
	ssize_t r;
	va_list ap;
	pid_t pid;

	ret->peak_fds = 0;
	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	for (char *w = strtok_r(words, " ", &save); w && n < 39; w = strtok_r(NULL, " ", &save))
		argv[n++] = w;
	kit_must(pipe2(out, O_CLOEXEC | O_NONBLOCK));
	pid = kit_must(fork());
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (dumped_fault)
			setenv("DECANT_FAULT", dumped_fault, 1);
		if (dumped_ballast_bytes)
			(void)!mmap(NULL, dumped_ballast_bytes, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		dup2(out[1], 1);
		dup2(out[1], 2);
		execv(argv[0], argv);
		_exit(127);
	}
	close(out[1]);
	while (wait4(pid, &ret->status, WNOHANG, &used) == 0) {
		uint64_t now = kit_now_ns() - began;
		unsigned fds = kill_ns ? 0 : descriptors(pid);

		if (fds > ret->peak_fds)
			ret->peak_fds = fds;

		if ((kill_ns && now >= kill_ns) || now >= LIMIT_NS)
			kill(pid, SIGKILL);
		usleep(kill_ns ? 100 : 1000);
		r = read(out[0], ret->text + len, sizeof(ret->text) - 1 - len);
		len += r > 0 ? (size_t)r : 0;
	}
	r = read(out[0], ret->text + len, sizeof(ret->text) - 1 - len);
	len += r > 0 ? (size_t)r : 0;
	ret->text[len] = '\0';
	ret->peak_kib = used.ru_maxrss;
	close(out[0]);
	return ret->status == 0;
}

uint64_t number(const struct told *t, const char *key)
{
	char quoted[64];
	const char *at;

	snprintf(quoted, sizeof(quoted), "\"%s\":", key);
	at = strstr(t->text, quoted);
	return at ? strtoull(at + strlen(quoted), NULL, 10) : UINT64_MAX;
}

uint64_t total(const struct told *t, const char *key)
{
	uint64_t sum = 0;
	char quoted[64];

	snprintf(quoted, sizeof(quoted), "\"%s\":", key);
	for (const char *at = t->text; (at = strstr(at, quoted)); at += strlen(quoted))
		sum += strtoull(at + strlen(quoted), NULL, 10);
	return sum;
}

bool good_core(unsigned n, struct oracle *o)
{
	struct told t;
	char core[300];

	snprintf(core, sizeof(core), "%s/core", dir);
	need(tool(&t, 0, "images %s/chain/%u core -q -f -o %s", dir, n, core),
	     "a core is made: %s", t.text);
	return oracle_check_file(core, o);
}

long long shell(const char *fmt, ...)
{
	char text[700], line[100] = "";
	va_list ap;
	FILE *f;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	f = popen(text, "re");
	need(f, "a shell");
	(void)!fgets(line, sizeof(line), f);
	return pclose(f) == 0 ? atoll(line) : -1;
}

char state_of(pid_t pid)
{
	char line[100] = "";

	need(kit_line(line, sizeof(line), "grep ^State: /proc/%d/status", pid), "its state");
	return line[7];
}

bool has(const char *where, unsigned n, const char *name)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/%s/%u/%s", dir, where, n, name);
	return access(path, F_OK) == 0;
}

unsigned complete(const char *where)
{
	unsigned n, good = 0;
	struct told t;

	for (n = 1; has(where, n, "."); n++) {
		bool whole = has(where, n, "inventory.img");
		bool checked = tool(&t, 0, "images %s/%s/%u check", dir, where, n);

		ok(whole == checked, "image %u %s complete, and check says: %s", n,
		   whole ? "is" : "is not", t.text);
		ok(!whole || good == n - 1, "an image is complete after the one before");
		good += whole;
	}
	return good;
}
