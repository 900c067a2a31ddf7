/* SPDX-License-Identifier: MIT */
/* process/procfs: the parsers, odd names and damaged texts; and /proc itself. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "lib/kit.h"
#include "process/procfs.h"
#include "sys/fault.h"
#include "tap.h"

static const char status_text[] =
	"Name:\ta\\\\b\\nc)\n"
	"Umask:\t0022\n"
	"State:\tD (disk sleep)\n"
	"Tgid:\t4000000\n"
	"Ngid:\t0\n"
	"Pid:\t4000001\n"
	"PPid:\t7\n"
	"TracerPid:\t99\n"
	"Uid:\t1\t2\t3\t4294967294\n"
	"Gid:\t5\t6\t7\t8\n"
	"FDSize:\t64\n"
	"Groups:\t \n"
	"NStgid:\t4000000\t12\t1\n"
	"NSpid:\t4000001\t13\t2\n"
	"NSpgid:\t4000000\t12\t0\n"
	"NSsid:\t17\t9\n"
	"VmSize:\t    5312 kB\n"
	"VmPin:\t      8 kB\n"
	"VmRSS:\t     1234 kB\n"
	"VmSwap:\t       16 kB\n"
	"HugetlbPages:\t    2048 kB\n"
	"Threads:\t4000\n"
	"SigQ:\t0/95988\n"
	"SigPnd:\t0000000000000001\n"
	"ShdPnd:\t0000000000004000\n"
	"SigBlk:\tfffffffe7ffbfeff\n"
	"SigIgn:\t0000000000001000\n"
	"SigCgt:\t0000000180004002\n"
	"CapPrm:\t000001fffeffffff\n"
	"CapEff:\t0000000000080000\n"
	"NoNewPrivs:\t0\n"
	"Seccomp:\t2\n"
	"Seccomp_filters:\t1\n"
	"x86_Thread_features:\twrss shstk \n"
	"x86_Thread_features_locked:\t\n";

static void test_status(void)
{
	struct proc_status st;

	is_int(procfs_parse_status(status_text, &st), 0, "parsed");
	is_str(st.name, "a\\b\nc)", "name, unescaped");
	is_int(st.state, 'D', "state");
	is_int(st.tgid, 4000000, "tgid");
	is_int(st.pid, 4000001, "pid");
	is_int(st.ppid, 7, "ppid");
	is_int(st.tracer, 99, "tracer");
	is_int(st.uid[0], 1, "uid");
	is_int(st.uid[3], 4294967294, "uid that is large");
	is_int(st.gid[3], 8, "gid");
	is_int(st.ns_pid, 2, "innermost pid");
	is_int(st.ns_depth, 3, "namespaces");
	is_int(st.threads, 4000, "threads");
	is_int(st.ns_pgrp, 0, "NSpgid");
	is_int(st.ns_sid, 9, "NSsid");
	is_int(st.seccomp, 2, "seccomp");
	is_int(st.sig_pending, 1, "SigPnd");
	is_int(st.sig_shared_pending, 0x4000, "ShdPnd");
	ok(st.sig_blocked == 0xfffffffe7ffbfeff, "SigBlk");
	is_int(st.sig_ignored, 0x1000, "SigIgn");
	is_int(st.sig_caught, 0x180004002, "SigCgt");
	is_int(st.cap_permitted, 0x1fffeffffff, "CapPrm");
	is_int(st.cap_effective, 0x80000, "CapEff");
	is_int(st.vm_rss_kib, 1234, "VmRSS");
	is_int(st.vm_swap_kib, 16, "VmSwap");
	is_int(st.vm_pin_kib, 8, "VmPin");
	is_int(st.vm_hugetlb_kib, 2048, "HugetlbPages");
	is_int(st.has_mm, true, "memory");
	is_int(st.shadow_stack, true, "shadow stack");
	is_int(procfs_parse_status("Name:\tx\nState:\tS (x)\nTgid:\t2\nPid:\t2\n", &st), 0, "few");
	is_int(st.ns_pid, 2, "without NSpid");
	is_int(st.seccomp, -1, "without Seccomp");
	is_int(st.has_mm, false, "a kernel thread has no memory");
	is_int(st.shadow_stack, false, "nor a shadow stack");
	is_int(st.vm_rss_kib, 0, "what is not said is 0");
	is_int(procfs_parse_status("Name:\t\nState:\tS\nTgid:\t2\nPid:\t2", &st), 0, "no name");
	is_str(st.name, "", "is empty");
	is_int(procfs_parse_status("x86_Thread_features:\tshstkx\nName:\tx\nState:\tS (x)\n"
				   "Tgid:\t2\nPid:\t2\n", &st), 0, "another feature");
	is_int(st.shadow_stack, false, "is not ours");
}

static void test_status_refused(void)
{
	static const char *const texts[] = {
		"", "\n", "x", "Name:\tx\n", "Pid:\t1\nTgid:\t1\n", "State:\tS\nTgid:\t1\n",
		"State:\tS\nPid:\t1\n", "Pid:\t-1\nTgid:\t1\nState:\tS\n",
		"Pid:\t0\nTgid:\t1\nState:\tS\n", "Pid:\nTgid:\t1\nState:\tS\n",
		"Pid:\tx\nTgid:\t1\nState:\tS\n", "Pid:\t99999999999\nTgid:\t1\nState:\tS\n",
		"Pid:\t1\nTgid:\t1\nState:\n", "Pid:\t1\nTgid:\t1\nState:\tS\nUid:\t1\t2\t3\n",
		"Pid:\t1\nTgid:\t1\nState:\tS\nVmRSS:\t99999999999999999999 kB\n",
		"Pid:\t1\nTgid:\t1\nState:\tS\nNSpid:\t\n",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct proc_status st, before;

		memset(&st, 0x5a, sizeof(st));
		before = st;
		is_int(procfs_parse_status(texts[i], &st), -EBADMSG, "refused: %s", texts[i]);
		is_mem(&st, &before, sizeof(st), "and nothing is written");
	}
}

#define STAT_REST \
	" 1 2 3 0 -1 4194560 10 20 30 40 51 52 53 54 20 -5 4001 0 777777 9 8 " \
	"18446744073709551615 1 2 3 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"

static void test_stat(void)
{
	static const char *const names[] = {
		"x", "", " ", ")", "(", ") R 1 (", "a) S (b", "kworker/u4:0-events_unbound",
		"name\nwith newline", "((()))",
	};
	char text[400];
	struct proc_stat st;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(text, sizeof(text), "12 (%s) S" STAT_REST, names[i]);
		is_int(procfs_parse_stat(text, &st), 0, "parsed");
		is_str(st.comm, names[i], "name");
		is_int(st.state, 'S', "state");
	}
	is_int(st.ppid, 1, "ppid");
	is_int(st.pgrp, 2, "pgrp");
	is_int(st.session, 3, "session");
	is_int(st.flags, 4194560, "flags");
	is_int(st.utime_ticks, 51, "utime");
	is_int(st.stime_ticks, 52, "stime");
	is_int(st.cutime_ticks, 53, "cutime");
	is_int(st.cstime_ticks, 54, "cstime");
	is_int(st.nice, -5, "nice");
	is_int(st.start_ticks, 777777, "start");
	is_int(st.exit_signal, 17, "exit signal");
	memset(text, 'y', sizeof(text));
	memcpy(text, "1 (", 3);
	snprintf(text + 200, 200, ") Z" STAT_REST);
	is_int(procfs_parse_stat(text, &st), 0, "a name that is too long");
	is_int(strlen(st.comm), sizeof(st.comm) - 1, "is cut");
}

static void test_stat_refused(void)
{
	static const char *const texts[] = {
		"", "1", "1 (x", "1 x)", ")(", "1 (x)", "1 (x) ", "1 (x) S", "1 (x) S 1 2 3",
		"1 (x)S 1 2", "1 (x) S x" STAT_REST,
		"1 (x) S 18446744073709551616" STAT_REST,
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct proc_stat st, before;

		memset(&st, 0x5a, sizeof(st));
		before = st;
		is_int(procfs_parse_stat(texts[i], &st), -EBADMSG, "refused: %s", texts[i]);
		is_mem(&st, &before, sizeof(st), "and nothing is written");
	}
}

/* Bytes changed, taken out, doubled: anything but a crash. */
static void mutate(const char *text, char *ret, size_t size)
{
	size_t len = strlen(text), n;

	memcpy(ret, text, len + 1);
	for (n = kit_random() % 8; n-- > 0;) {
		size_t at = kit_random() % (len ? len : 1), k = kit_random() % 20;

		switch (kit_random() % 4) {
		case 0:
			ret[at] = (char)kit_random();
			break;
		case 1:
			ret[at] = ":\n\t ()-\\"[kit_random() % 8];
			break;
		case 2:
			ret[at] = '\0';
			break;
		default:
			if (len + k < size && at + k < len) {
				memmove(ret + at + k, ret + at, len - at + 1);
				len += k;
			}
		}
		len = strlen(ret);
	}
}

/* In memory of just that size, so that AddressSanitizer sees a byte too many. */
static void parse_exact(const char *text, unsigned *good)
{
	char *copy = strdup(text);
	struct proc_status status;
	struct proc_stat stat;

	*good += procfs_parse_status(copy, &status) == 0;
	*good += procfs_parse_stat(copy, &stat) == 0;
	free(copy);
}

static void test_damaged(void)
{
	unsigned rounds = kit_full() ? 2000000 : 100000, good = 0;
	char text[4096];

	for (unsigned i = 0; i < rounds; i++) {
		mutate(i % 2 ? status_text : "12 (x y) S" STAT_REST, text, sizeof(text));
		parse_exact(text, &good);
	}
	ok(good > rounds / 20 && good < rounds, "%u of %u were still good", good, rounds);
}

/* ------------------------------------------------------------------- live */

static void *thread_waits(void *arg)
{
	pid_t *tid = arg;

	__atomic_store_n(tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	pause();
	return NULL;
}

static void test_live(void)
{
	int self = open("/proc/self", O_RDONLY | O_DIRECTORY);
	struct buf text = BUF_INIT;
	struct proc_status status;
	struct proc_stat stat;
	size_t size = 0;
	pid_t *tids = NULL, tid = 0;
	pthread_t t;

	prctl(PR_SET_NAME, "we (are)\n\\so");
	setpriority(PRIO_PROCESS, 0, 3);
	is_int(procfs_status(self, &status), 0, "status");
	is_str(status.name, "we (are)\n\\so", "name");
	is_int(status.pid, getpid(), "pid");
	is_int(status.ppid, getppid(), "ppid");
	is_int(status.uid[1], geteuid(), "uid");
	is_int(status.has_mm, true, "memory");
	is_int(status.threads, 1, "one thread");
	is_int(procfs_stat(self, &stat), 0, "stat");
	is_str(stat.comm, "we (are)\n\\so", "name");
	is_int(stat.ppid, getppid(), "ppid");
	is_int(stat.pgrp, getpgrp(), "pgrp");
	is_int(stat.session, getsid(0), "session");
	is_int(stat.nice, 3, "nice");
	is_int(stat.exit_signal, SIGCHLD, "exit signal");
	is_int(procfs_read(self, "no such", &text), -ENOENT, "no such file");
	is_int(procfs_read(self, "stat", &text), 0, "read");
	is_int(procfs_read(self, "stat", &text), 0, "once more");
	ok(strchr(buf_str(&text), '\n') < buf_str(&text) + text.len - 1, "appends");
	buf_free(&text);
	is_int(procfs_tasks(self, &tids, &size), 1, "one task");
	is_int(tids[0], getpid(), "is us");
	need(pthread_create(&t, NULL, thread_waits, &tid) == 0, "thread");
	while (!__atomic_load_n(&tid, __ATOMIC_ACQUIRE))
		usleep(1000);
	is_int(procfs_tasks(self, &tids, &size), 2, "two tasks");
	ok(tids[0] == getpid() && tids[1] == tid, "ascending");
	free(tids);
	close(self);
}

/* Of so many threads that one read does not give them all, in odd order. */
static void test_many_tasks(void)
{
	int self = open("/proc/self", O_RDONLY | O_DIRECTORY), n;
	enum { THREADS = 700 };
	pthread_attr_t attr;
	size_t size = 0;
	pid_t *tids = NULL, tid;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (int i = 0; i < THREADS; i++) {
		tid = 0;
		need(pthread_create(&t, &attr, thread_waits, &tid) == 0, "thread %d", i);
		while (!__atomic_load_n(&tid, __ATOMIC_ACQUIRE))
			sched_yield();
	}
	n = procfs_tasks(self, &tids, &size);
	is_int(n, THREADS + 1, "all of them");
	for (int i = 1; i < n; i++)
		ok(tids[i] > tids[i - 1], "ascending at %d", i);
#ifdef DECANT_FAULTS
	sys_fault_arm(&(struct sys_fault_plan){ .nth = 1, .repeat = 1000, .name = "realloc" });
	is_int(procfs_tasks(self, &tids, &size), THREADS + 1, "without memory: there is some");
	sys_fault_disarm();
	for (unsigned long i = 1; i <= 3; i++) {
		pid_t *none = NULL;
		size_t none_size = 0;

		sys_fault_arm(&(struct sys_fault_plan){ .nth = i });
		is_int(procfs_tasks(self, &none, &none_size), i == 1 ? -EMFILE : -ENOMEM,
		       "call %lu fails", i);
		sys_fault_disarm();
		free(none);
	}
#endif
	free(tids);
	tap_end_(0); /* threads and all */
}

/* A task that ends between open and read. */
static void test_gone(void)
{
	pid_t pid = fork();
	struct proc_status status;
	struct proc_stat stat;
	char path[40];
	size_t size = 0;
	pid_t *tids = NULL;
	int dir;

	if (pid == 0) {
		pause();
		_exit(0);
	}
	snprintf(path, sizeof(path), "/proc/%d", pid);
	dir = open(path, O_RDONLY | O_DIRECTORY);
	kill(pid, SIGKILL);
	waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
	is_int(procfs_status(dir, &status), 0, "a zombie has a status");
	is_int(status.state, 'Z', "Z");
	is_int(status.has_mm, false, "without memory");
	waitpid(pid, NULL, 0);
	is_int(procfs_status(dir, &status), -ESRCH, "status of none");
	is_int(procfs_stat(dir, &stat), -ESRCH, "stat of none");
	ok(procfs_tasks(dir, &tids, &size) <= 0, "tasks of none");
	free(tids);
	close(dir);
}

int main(void)
{
	kit_start(120);
	tap_case("status", test_status);
	tap_case("status that makes no sense", test_status_refused);
	tap_case("stat, and names", test_stat);
	tap_case("stat that makes no sense", test_stat_refused);
	tap_case("damaged texts", test_damaged);
	tap_case("of ourselves", test_live);
	tap_case("of many threads", test_many_tasks);
	tap_case("of a task that is gone", test_gone);
	return done();
}
