/* SPDX-License-Identifier: MIT */
/*
 * Does something that a supervisor may not have thought of, and then makes a
 * vmsplice whose buffer it changes at once: how that ends is its exit status.
 *	program-evade WORD
 *	plain      nothing
 *	userns     is root in a user namespace, with other mounts over /proc, as process 1
 *	dumpable   gives its memory and descriptors to nobody who has not the rights
 *	closed     closes all descriptors
 *	limits     has hardly any: descriptors, files' sizes, cores, locked memory
 *	tsync      puts a filter of its own on all threads
 *	trap       has a filter that wants a tracer for vmsplice
 *	listener   has a listener that lets all of vmsplice pass
 *	shared     is a process that shares all with another one, and is not its thread
 *	suspend    traces a child, and wants its filters to be suspended
 *	stopped    stops its supervisor for a while
 *	cut        cuts the memory that preload shares
 *	odd        calls with descriptors that are no ends of anything: prints what they return
 *	reach      how many ways there are to get at the supervisor
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OLD = 10, NEW, NO_CALL, NO_MEMORY, OTHER, BUSY, UNABLE = 77 };

/* What a reader gets: as it was at the call, or as it is now. */
static int later(void)
{
	static char text[4096], got[4096];
	struct iovec iov = { text, sizeof(text) };
	int fds[2];

	if (pipe(fds) < 0)
		return UNABLE;
	memset(text, 'o', sizeof(text));
	if (vmsplice(fds[1], &iov, 1, 0) < 0)
		return errno == ENOSYS ? NO_CALL : errno == ENOMEM ? NO_MEMORY : OTHER;
	memset(text, 'n', sizeof(text));
	if (read(fds[0], got, sizeof(got)) != sizeof(got))
		return OTHER;
	return got[0] == 'o' ? OLD : NEW;
}

static int status_of(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, __WALL) != pid)
		return UNABLE;
	return WIFEXITED(status) ? WEXITSTATUS(status) : OTHER;
}

static bool put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	(void)close(fd);
	return good;
}

static int userns(void)
{
	char map[64];
	pid_t pid;

	(void)snprintf(map, sizeof(map), "0 %d 1", (int)getuid());
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNET) < 0 ||
	    !put("/proc/self/uid_map", map))
		return UNABLE;
	pid = fork();
	if (pid == 0) {
		if (mount("none", "/proc", "tmpfs", 0, NULL) < 0 || getpid() != 1)
			_exit(UNABLE);
		(void)mkdir("/proc/1", 0755);
		(void)symlink("/etc", "/proc/1/fd");
		_exit(later());
	}
	return status_of(pid);
}

static int limits(void)
{
	struct rlimit few = { 5, 5 }, none = { 0, 0 };

	if (setrlimit(RLIMIT_NOFILE, &few) < 0 || setrlimit(RLIMIT_FSIZE, &none) < 0 ||
	    setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_MEMLOCK, &none) < 0 ||
	    setrlimit(RLIMIT_SIGPENDING, &none) < 0 || setrlimit(RLIMIT_NPROC, &none) < 0)
		return UNABLE;
	return later();
}

/* vmsplice gets this action, all else passes. */
static int filter(unsigned flags, uint32_t action)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_vmsplice, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static void *idle(void *arg)
{
	(void)arg;
	for (;;)
		(void)pause();
	return NULL;
}

static int tsync(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, idle, NULL) ||
	    filter(SECCOMP_FILTER_FLAG_TSYNC, SECCOMP_RET_ALLOW) != 0)
		return UNABLE;
	return later();
}

static void *let_pass(void *arg)
{
	const int *listener = arg;

	for (;;) {
		struct seccomp_notif req = { 0 };
		struct seccomp_notif_resp resp = { .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };

		if (ioctl(*listener, SECCOMP_IOCTL_NOTIF_RECV, &req) < 0)
			return NULL;
		resp.id = req.id;
		(void)ioctl(*listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
	}
}

static int listener(void)
{
	static int fd;
	pthread_t thread;

	fd = filter(SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_RET_USER_NOTIF);
	if (fd < 0)
		return errno == EBUSY ? BUSY : UNABLE;
	if (pthread_create(&thread, NULL, let_pass, &fd))
		return UNABLE;
	return later();
}

static int shared_main(void *arg)
{
	(void)arg;
	_exit(later());
}

static int shared(void)
{
	static char stack[262144] __attribute__((aligned(16)));

	return status_of(clone(shared_main, stack + sizeof(stack),
			       CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_VFORK, NULL));
}

static int suspend(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) == 0)
			(void)raise(SIGSTOP);
		_exit(later());
	}
	if (waitpid(pid, &status, 0) != pid)
		return UNABLE;
	if (!WIFSTOPPED(status)) /* it is traced by another one already */
		return WIFEXITED(status) ? WEXITSTATUS(status) : OTHER;
	if (ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_SUSPEND_SECCOMP) == 0)
		(void)printf("suspended\n");
	(void)ptrace(PTRACE_DETACH, pid, 0, 0);
	return status_of(pid);
}

static int stopped(pid_t supervisor)
{
	pid_t pid = fork();
	int r;

	if (pid == 0) {
		for (int i = 0; i < 10; i++) {
			(void)kill(supervisor, SIGSTOP);
			(void)usleep(10000);
			(void)kill(supervisor, SIGCONT);
			(void)usleep(5000);
		}
		_exit(0);
	}
	for (int i = 0; i < 200 && (r = later()) == OLD; i++)
		(void)usleep(500);
	(void)status_of(pid);
	return r;
}

static int cut(void)
{
	const char *path = getenv("DECANT_SHIM");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

	if (fd < 0)
		return UNABLE;
	if (ftruncate(fd, 0) == 0)
		(void)printf("cut\n");
	return later();
}

static void odd_say(const char *what, const char *call, ssize_t r)
{
	(void)printf("%s, %s: %s\n", what, call, r < 0 ? strerrorname_np(errno) : "moved");
}

static void odd_one(const char *what, int fd, int p[2], int file)
{
	static char text[64];
	struct iovec iov = { text, sizeof(text) };
	loff_t zero = 0;

	odd_say(what, "vmsplice", vmsplice(fd, &iov, 1, SPLICE_F_NONBLOCK));
	odd_say(what, "splice from", splice(fd, NULL, p[1], NULL, 1, SPLICE_F_NONBLOCK));
	odd_say(what, "splice to", splice(file, &zero, fd, NULL, 1, SPLICE_F_NONBLOCK));
	odd_say(what, "sendfile from", sendfile(p[1], fd, NULL, 1));
	odd_say(what, "sendfile to", sendfile(fd, file, &zero, 1));
	odd_say(what, "tee", tee(fd, p[1], 1, SPLICE_F_NONBLOCK));
	(void)close(fd);
}

static int odd(void)
{
	int p[2], file = memfd_create("odd", 0);
	char path[64];

	if (file < 0 || pipe2(p, O_NONBLOCK) < 0 || write(file, path, sizeof(path)) < 1)
		return UNABLE;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", p[1]);
	odd_one("a pipe by its name only", open(path, O_PATH), p, file);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	odd_one("a file by its name only", open(path, O_PATH), p, file);
	odd_one("a file to write to", open(path, O_WRONLY), p, file);
	odd_one("a file with no rights", open(path, O_WRONLY | O_RDWR), p, file);
	odd_one("a directory", open("/", O_RDONLY), p, file);
	odd_one("a pidfd", (int)syscall(SYS_pidfd_open, getpid(), 0), p, file);
	odd_one("an eventfd", eventfd(0, EFD_NONBLOCK), p, file);
	odd_one("an epoll", epoll_create1(0), p, file);
	odd_one("a socket that is not connected", socket(AF_UNIX, SOCK_STREAM, 0), p, file);
	odd_one("nothing", -1, p, file);
	odd_one("what was closed", 999, p, file);
	return 0;
}

static int reach(pid_t supervisor)
{
	static char byte;
	struct iovec ours = { &byte, 1 }, theirs = { (void *)0x400000, 1 };
	struct rlimit limit;
	char path[64];
	int n = 0, pidfd = (int)syscall(SYS_pidfd_open, supervisor, 0);

	n += kill(supervisor, 0) == 0;
	n += syscall(SYS_pidfd_getfd, pidfd, 0, 0) >= 0;
	n += syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) == 0;
	n += prlimit(supervisor, RLIMIT_CORE, NULL, &limit) == 0;
	n += process_vm_readv(supervisor, &ours, 1, &theirs, 1, 0) >= 0 || errno == EFAULT;
	(void)snprintf(path, sizeof(path), "/proc/%d/mem", (int)supervisor);
	n += open(path, O_RDWR) >= 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/fd/0", (int)supervisor);
	n += access(path, F_OK) == 0 || errno == ENOENT;
	n += ptrace(PTRACE_SEIZE, supervisor, 0, 0) == 0;
	return n;
}

int main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "plain";
	pid_t supervisor = argc > 2 ? atoi(argv[2]) : getppid();

	if (strcmp(word, "userns") == 0)
		return userns();
	if (strcmp(word, "dumpable") == 0)
		(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (strcmp(word, "closed") == 0)
		closefrom(0);
	if (strcmp(word, "limits") == 0)
		return limits();
	if (strcmp(word, "tsync") == 0)
		return tsync();
	if (strcmp(word, "trap") == 0)
		return filter(0, SECCOMP_RET_TRACE) == 0 ? later() : UNABLE;
	if (strcmp(word, "listener") == 0)
		return listener();
	if (strcmp(word, "shared") == 0)
		return shared();
	if (strcmp(word, "suspend") == 0)
		return suspend();
	if (strcmp(word, "stopped") == 0)
		return stopped(supervisor);
	if (strcmp(word, "cut") == 0)
		return cut();
	if (strcmp(word, "odd") == 0)
		return odd();
	if (strcmp(word, "reach") == 0)
		return reach(supervisor);
	return later();
}
