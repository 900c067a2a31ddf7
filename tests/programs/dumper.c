/* SPDX-License-Identifier: MIT */
/*
 * What CRIU does as far as policies care, for both sides.
 *	program-dumper victim [PID N]
 *		prints "PID FD IOV CODE" and waits; with a filter of its own that says
 *		that descriptor N of PID has the counts of its supervisor
 *	program-dumper dump PID FD IOV CODE [quiet]
 *		takes PID over, has its filters suspended, makes it call vmsplice
 *		(quiet: getpid instead) and lets go of it; prints the result
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define SUSPEND 0x200000 /* PTRACE_O_SUSPEND_SECCOMP */

__asm__(".text\n.globl dumper_code\ndumper_code:\n\tsyscall\n\tint3\n");
extern const char dumper_code[];

static char buffer[4096] = "old";

/* A line on standard input: the buffer changes, and what the pipe has is told. */
static int victim(void)
{
	struct iovec iov = { buffer, sizeof(buffer) };
	char got[sizeof(buffer)] = "", line[16];
	int fds[2];

	if (pipe(fds) < 0)
		return 1;
	printf("%d %d %p %p\n", (int)getpid(), fds[1], (void *)&iov, (const void *)dumper_code);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	strcpy(buffer, "new");
	(void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
	if (read(fds[0], got, sizeof(got)) < 0)
		strcpy(got, "nothing");
	printf("%s\n", got);
	return 0;
}

static int must(long r, const char *what)
{
	if (r < 0) {
		fprintf(stderr, "dumper: %s: %s\n", what, strerror(errno));
		exit(1);
	}
	return (int)r;
}

static int dump(pid_t pid, int fd, unsigned long iov, unsigned long code, int quiet)
{
	struct user_regs_struct was, now;
	int status;

	must(ptrace(PTRACE_SEIZE, pid, 0, 0), "seize");
	must(ptrace(PTRACE_INTERRUPT, pid, 0, 0), "interrupt");
	must(waitpid(pid, &status, __WALL), "wait");
	must(ptrace(PTRACE_SETOPTIONS, pid, 0, (void *)(SUSPEND | PTRACE_O_TRACESYSGOOD)),
	     "options");
	must(ptrace(PTRACE_GETREGS, pid, 0, &was), "registers");
	now = was;
	now.rip = code;
	now.rax = quiet ? SYS_getpid : SYS_vmsplice;
	now.orig_rax = (unsigned long)-1;
	now.rdi = (unsigned long)fd;
	now.rsi = iov;
	now.rdx = 1;
	now.r10 = SPLICE_F_GIFT | SPLICE_F_NONBLOCK;
	must(ptrace(PTRACE_SETREGS, pid, 0, &now), "registers");
	must(ptrace(PTRACE_CONT, pid, 0, 0), "continue");
	must(waitpid(pid, &status, __WALL), "wait");
	must(ptrace(PTRACE_GETREGS, pid, 0, &now), "registers");
	printf("%ld\n", (long)now.rax);
	/* As long as a small dump takes. */
	usleep(100000);
	must(ptrace(PTRACE_SETREGS, pid, 0, &was), "registers");
	must(ptrace(PTRACE_DETACH, pid, 0, 0), "detach");
	return 0;
}

/* As policy/board.h has it: three instructions that are never run. */
static int forge(unsigned pid, unsigned fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, 0x64634362),
		BPF_STMT(BPF_RET | BPF_K, pid),
		BPF_STMT(BPF_RET | BPF_K, fd),
	};
	struct sock_fprog prog = { 4, code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

int main(int argc, char **argv)
{
	if (argc == 4 && forge((unsigned)atoi(argv[2]), (unsigned)atoi(argv[3])))
		return 1;
	if (argc > 5)
		return dump((pid_t)atoi(argv[2]), atoi(argv[3]), strtoul(argv[4], NULL, 0),
			    strtoul(argv[5], NULL, 0), argc > 6);
	return victim();
}
