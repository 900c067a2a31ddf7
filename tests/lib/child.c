/* SPDX-License-Identifier: MIT */
#include "lib/child.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "lib/kit.h"
#include "lib/stopper.h"
#include "tap.h"

struct child_shared *shared;
int shared_fd;

pid_t child_of(void (*fn)(void))
{
	int fds[2];
	pid_t pid;
	char c;

	need(pipe2(fds, O_CLOEXEC) == 0, "pipe");
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (fn)
			fn();
		if (write(fds[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(fds[1]);
	need(pid > 0 && read(fds[0], &c, 1) == 1, "child");
	close(fds[0]);
	return pid;
}

void child_map_shared(int fd)
{
	shared_fd = fd;
	shared = kit_must(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
}

pid_t child_begin(void (*fn)(void))
{
	int fd = memfd_create("shared", 0);
	pid_t pid;

	need(fd >= 0 && ftruncate(fd, 4096) == 0, "memfd");
	child_map_shared(fd);
	pid = fork();
	need(pid >= 0, "fork");
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		fn();
		_exit(1);
	}
	for (int i = 0; i < 5000 && !atomic_load(&shared->ready); i++)
		kit_sleep_ms(1);
	need(atomic_load(&shared->ready), "the victim starts");
	return pid;
}

void child_end(pid_t pid)
{
	kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

void child_rounds(void)
{
	atomic_store(&shared->ready, 1);
	for (;;) {
		kit_sleep_ms(1);
		atomic_fetch_add(&shared->rounds, 1);
	}
}

void *child_sleeper(void *arg)
{
	(void)arg;
	for (;;)
		kit_sleep_ms(1);
	return NULL;
}

void *child_waiter(void *arg)
{
	*(volatile pid_t *)arg = (pid_t)syscall(SYS_gettid);
	for (;;)
		pause();
	return NULL;
}

bool child_counts_to(_Atomic int *counter, int value, unsigned ms)
{
	for (unsigned i = 0; i <= ms; i++, kit_sleep_ms(1))
		if (atomic_load(counter) >= value)
			return true;
	return false;
}

bool child_goes_on(unsigned ms)
{
	return child_counts_to(&shared->rounds, atomic_load(&shared->rounds) + 2, ms);
}

bool child_is_free(pid_t pid)
{
	char text[4096], path[64];
	const char *line;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "r");
	if (!f)
		return false;
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	(void)fclose(f);
	line = strstr(text, "TracerPid:\t0\n");
	return line && stopper_state(pid, pid) != 't';
}
