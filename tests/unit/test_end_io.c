/* SPDX-License-Identifier: MIT */
/* end/: plain reads and writes of all but pipes; nothing waits, nothing kills. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <termios.h>

#include "end/end.h"
#include "lib/kit.h"
#include "lib/opened.h"
#include "sys/fault.h"
#include "tap.h"

#define PAGE 4096

/* -------------------------------------------------------------------- files */

static void test_file(void)
{
	int fd = kit_scratch(0);
	struct end e = opened_fd(DECANT_END_FILE, fd, 10, END_SINK);
	char buf[16] = "";

	is_int(end_write(&e, 0, "abcdef", 6, false), 6, "write at the start of the transfer");
	is_int(end_write(&e, 6, "gh", 2, false), 2, "and behind it");
	is_int(end_write(&e, INT64_MAX, "x", 1, false), -EFBIG, "a place no file has");
	is_int(end_read(&e, 0, buf, 1), 1, "control: the file is readable");
	end_close(&e, 8);
	e = opened_fd(DECANT_END_FILE, fd, 12, END_SOURCE);
	is_int(end_read(&e, 1, buf, sizeof(buf)), 5, "a short read at the end");
	is_mem(buf, "defgh", 5, "of the right bytes");
	is_int(end_read(&e, 6, buf, sizeof(buf)), 0, "the end");
	is_int(end_read(&e, UINT64_MAX - 5, buf, 1), 0, "and far behind it");
	end_close(&e, 0);
	close(fd);
}

static void test_append(void)
{
	int fd = kit_scratch(O_APPEND);
	struct end e;
	char buf[16] = "";

	need(write(fd, "old", 3) == 3 && lseek(fd, 0, SEEK_SET) == 0, "file");
	e = opened_fd(DECANT_END_FD, fd, DECANT_CURRENT, END_SINK);
	is_int(end_write(&e, 0, "new", 3, false), 3, "an appending sink");
	is_int(end_write(&e, 3, "er", 2, false), 2, "goes on at the end");
	end_close(&e, 5);
	is_int(lseek(fd, 0, SEEK_CUR), 8, "its position is the end");
	is_int(pread(fd, buf, sizeof(buf), 0), 8, "length of the file");
	is_mem(buf, "oldnewer", 8, "what is in it");
	close(fd);
}

/* O_DIRECT on the caller's descriptor must not show. */
static void test_direct_fd(void)
{
	int fd = kit_scratch(O_DIRECT), plain = kit_scratch(0);
	struct end e = opened_fd(DECANT_END_FILE, fd, 0, END_SINK);
	char buf[32] = "";

	is_int(pwrite(fd, "abc", 3, 0), -1, "control: the descriptor refuses such a write");
	is_int(end_write(&e, 0, "abcdefg", 7, false), 7, "an odd length through O_DIRECT");
	ok(e.io_fd != fd, "goes through an opening of our own");
	end_close(&e, 7);
	is_int(e.io_fd, fd, "which is closed in the end");
	e = opened_fd(DECANT_END_FILE, fd, 3, END_SOURCE);
	is_int(end_read(&e, 0, buf + 1, 4), 4, "an odd place, into odd memory");
	is_mem(buf + 1, "defg", 4, "the right bytes");
	end_close(&e, 4);
	e = opened_fd(DECANT_END_FILE, fd, 3, END_SOURCE);
	end_close(&e, 0);
	need(end_init(&e, &(struct decant_end){ .kind = DECANT_END_FILE, .fd = fd }, END_SOURCE,
		      NULL) == 0, "init");
	end_learn(&e, opened_caps);
	is_int(end_open(&e, opened_caps, NULL), 0, "open of a learned one");
	ok(e.io_fd != fd, "does it before the first read");
	end_close(&e, 0);
	e = opened_fd(DECANT_END_FILE, plain, 0, END_SOURCE);
	is_int(end_read(&e, UINT64_MAX / 4, buf, 1), 0, "control: a plain one");
	is_int(e.io_fd, plain, "is used as it is");
	close(fd);
	close(plain);
}

/* ------------------------------------------------------------------ sockets */

static void test_socket(void)
{
	int fds[2];
	struct end from, to;
	char buf[8] = "";

	need(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0, "sockets");
	from = opened_fd(DECANT_END_SOCKET, fds[0], 0, END_SOURCE);
	to = opened_fd(DECANT_END_SOCKET, fds[1], 0, END_SINK);
	is_int(end_read(&from, 0, buf, 8), -EAGAIN, "a blocking socket does not wait");
	is_int(end_write(&to, 0, "abc", 3, true), 3, "write, with more to come");
	is_int(end_read(&from, 0, buf, 8), 3, "read");
	ok(opened_fill(&to) > 0, "a full socket does not wait");
	close(fds[0]);
	is_int(end_write(&to, 0, "abc", 3, false), -EPIPE, "the peer is gone, no signal");
	close(fds[1]);
}

/* ------------------------------------------------------------------- memory */

static sigjmp_buf bus_jump;

static void on_sigbus(int sig)
{
	siglongjmp(bus_jump, sig);
}

/* Two pages of a mapped file, of which the second is cut off. */
static unsigned char *shrunk_mapping(void)
{
	int fd = memfd_create("test", 0);
	unsigned char *p;

	need(fd >= 0 && ftruncate(fd, 2L * PAGE) == 0, "memfd");
	p = mmap(NULL, 2L * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	need(p != MAP_FAILED, "mapping");
	memset(p, 'A', 2L * PAGE);
	need(ftruncate(fd, PAGE) == 0, "ftruncate");
	close(fd);
	return p;
}

static void test_memory(const void *mask)
{
	unsigned char *bad = shrunk_mapping(), buf[3 * PAGE];
	struct end e;

	opened_mask(mask);
	e = opened_memory((char[]){ "abcdef" }, 6, END_SOURCE);
	is_int(end_read(&e, 2, buf, sizeof(buf)), 4, "memory is read up to its end");
	is_mem(buf, "cdef", 4, "the bytes");
	is_int(end_read(&e, 6, buf, 1), 0, "the end");
	is_int(end_read(&e, 99, buf, 1), 0, "and behind it");
	end_close(&e, 0);
	e = opened_memory(bad, 2L * PAGE, END_SOURCE);
	is_int(end_read(&e, 0, buf, 2L * PAGE), PAGE, "a mapping that shrank: what there is");
	is_int(end_read(&e, PAGE, buf, PAGE), -EFAULT, "then an error instead of SIGBUS");
	end_close(&e, 0);
	e = opened_memory(buf, 8, END_SINK);
	is_int(end_write(&e, 4, "abcdef", 6, false), 4, "memory is written up to its end");
	is_mem(buf + 4, "abcd", 4, "the bytes");
	is_int(end_write(&e, 8, "x", 1, false), -ENOSPC, "and not behind it");
	end_close(&e, 0);
	e = opened_memory(bad, 2L * PAGE, END_SINK);
	is_int(end_write(&e, PAGE, buf, 1, false), -EFAULT, "a sink that shrank");
	end_close(&e, 0);
	ok(e.mem_fd < 0, "nothing is left open");
	signal(SIGBUS, on_sigbus);
	if (sigsetjmp(bus_jump, 1) == 0) {
		*(volatile unsigned char *)(bad + PAGE);
		ok(false, "control: touching that memory raises SIGBUS");
	}
}

static void test_views(void)
{
	char buf[8] = "abcdefg";
	struct end e = opened_memory(buf, 8, END_SOURCE);
	uint64_t len = 100;

	ok(end_view(&e, 3, &len) == buf + 3 && len == 5, "a view of memory");
	len = 100;
	ok(end_view(&e, 8, &len) && len == 0, "at its end");
	ok(end_room(&e, 2, &len) == buf + 2, "room of memory");
	e = opened((struct decant_end){ .kind = DECANT_END_ZERO }, END_SOURCE);
	len = 1 << 30;
	ok(end_view(&e, 1ull << 40, &len) && len >= PAGE && len <= 1 << 20, "a view of zeroes");
	ok(!end_room(&e, 0, &len), "zero has no room");
	e = opened_fd(DECANT_END_FILE, 0, 0, END_SOURCE);
	ok(!end_view(&e, 0, &len), "a file has no view");
	memset(buf, 1, 8);
	e = opened((struct decant_end){ .kind = DECANT_END_ZERO }, END_SOURCE);
	is_int(end_read(&e, 0, buf, 8), 8, "zero gives what is asked for");
	is_mem(buf, "\0\0\0\0\0\0\0", 8, "of zero bytes");
	e = opened((struct decant_end){ .kind = DECANT_END_NULL }, END_SINK);
	is_int(end_write(&e, 0, buf, 8, false), 8, "null takes everything");
}

/* A child of the same memory that waits to be killed. */
static pid_t child_waiting(void)
{
	pid_t pid = fork();

	need(pid >= 0, "fork");
	if (pid == 0) {
		for (;;)
			pause();
	}
	return pid;
}

static void test_process(const void *mask)
{
	unsigned char *two = mmap(NULL, 2L * PAGE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct decant_end said = { .kind = DECANT_END_PROCESS, .fd = -1 };
	unsigned char buf[2 * PAGE];
	struct end e;

	need(two != MAP_FAILED, "memory");
	memset(two, 'P', PAGE);
	need(munmap(two + PAGE, PAGE) == 0, "a hole behind it");
	opened_mask(mask);
	said.pid = child_waiting();
	said.offset = (uintptr_t)two + 100;
	memset(two, 'X', PAGE); /* ours, not the child's */
	e = opened(said, END_SOURCE);
	is_int(end_read(&e, 0, buf, sizeof(buf)), PAGE - 100, "up to the page that is not there");
	ok(buf[0] == 'P' && buf[PAGE - 101] == 'P', "bytes of the other process");
	is_int(end_read(&e, PAGE - 100, buf, 10), -EFAULT, "then an error");
	is_int(end_read(&e, UINT64_MAX - 50, buf, 10), -EFAULT, "and where addresses end");
	kill(said.pid, SIGKILL);
	need(waitpid(said.pid, NULL, 0) == said.pid, "wait");
	is_int(end_read(&e, 0, buf, 10), -ESRCH, "the process is gone");
	end_close(&e, 0);
}

/* -------------------------------------------------------- other descriptors */

static void test_other(void)
{
	int zero = open("/dev/zero", O_RDWR), master, slave;
	struct end from, to;
	char buf[PAGE];

	from = opened_fd(DECANT_END_FD, zero, DECANT_CURRENT, END_SOURCE);
	to = opened_fd(DECANT_END_FD, zero, 0, END_SINK);
	is_int(end_read(&from, 0, buf, sizeof(buf)), PAGE, "/dev/zero as a source");
	is_int(end_write(&to, 0, buf, sizeof(buf), false), PAGE, "and as a sink");
	master = posix_openpt(O_RDWR | O_NOCTTY);
	need(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0, "a terminal");
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	need(slave >= 0, "its other side");
	from = opened_fd(DECANT_END_FD, slave, DECANT_CURRENT, END_SOURCE);
	to = opened_fd(DECANT_END_FD, slave, DECANT_CURRENT, END_SINK);
	ok(to.io_fd != slave && to.nonblock, "a terminal is opened anew");
	is_int(fcntl(slave, F_GETFL) & O_NONBLOCK, 0, "the caller's flags are as they were");
	is_int(end_read(&from, 0, buf, sizeof(buf)), -EAGAIN, "a silent terminal does not wait");
	need(write(master, "hi\n", 3) == 3, "typing");
	is_int(end_read(&from, 0, buf, sizeof(buf)), 3, "a line from it");
	ok(opened_fill(&to) > 0, "a full terminal does not wait");
	end_close(&to, 0);
	to = opened_fd(DECANT_END_FD, slave, DECANT_CURRENT, END_SINK);
	need(tcflush(slave, TCIOFLUSH) == 0 && tcflow(slave, TCOOFF) == 0, "^S");
	is_int(end_write(&to, 0, buf, 1, false), -EAGAIN, "nor does one that is stopped");
	end_close(&to, 0);
	end_close(&from, 0);
}

static void test_master(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave;
	struct termios raw;
	struct end to;

	need(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0, "a terminal");
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	need(slave >= 0 && tcgetattr(slave, &raw) == 0, "its other side");
	cfmakeraw(&raw); /* else, what is too much is thrown away */
	need(tcsetattr(slave, TCSANOW, &raw) == 0, "raw");
	to = opened_fd(DECANT_END_FD, master, DECANT_CURRENT, END_SINK);
	is_int(to.io_fd, master, "a master is not opened anew");
	is_int(end_write(&to, 0, "abc", 3, false), 1, "and written byte by byte");
	ok(opened_fill_by(&to, 1 << 20) > 0, "so that it never waits");
}

/* ---------------------------------------------------------- calls that fail */

#ifdef DECANT_FAULTS
/* Everything that is done with an end, as far as it gets. */
static void whole_life(struct decant_end said, enum end_side side)
{
	struct err err = { "" };
	char buf[512] = "";
	struct end e;
	int64_t n;

	if (end_init(&e, &said, side, &err) < 0) {
		ok(err.text[0], "a failed init has a sentence");
		return;
	}
	end_learn(&e, opened_caps);
	(void)end_size(&e);
	if (end_open(&e, opened_caps, &err) == 0) {
		n = side == END_SOURCE ? end_read(&e, 0, buf, 3) :
					 end_write(&e, 0, buf, 3, false);
		ok(n >= -4095 && n <= 3, "a result in its bounds");
	} else {
		ok(err.text[0], "a failed open has a sentence");
	}
	end_close(&e, 3);
}

static void test_faults(void)
{
	int pipes[2], sockets[2], direct = kit_scratch(O_DIRECT), zero = open("/dev/zero", O_RDWR);
	int terminal = posix_openpt(O_RDWR | O_NOCTTY);
	struct sys_fault_plan plan = { .nth = 1 };
	char memory[16] = "";
	unsigned before, i;
	bool fired = true;

	need(pipe(pipes) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0 && zero >= 0 &&
	     terminal >= 0 && fcntl(pipes[0], F_SETFL, O_NONBLOCK) == 0, "descriptors");
	for (i = 1; i < FACT_MAX; i++)
		(void)caps_has(opened_caps, (enum fact)i); /* asked once, and not counted here */
	before = kit_fds_open();
	for (; fired && plan.nth < 500; plan.nth++) {
		const struct decant_end ends[] = {
			{ .kind = DECANT_END_FD, .fd = direct, .offset = DECANT_CURRENT },
			{ .kind = DECANT_END_FD, .fd = pipes[0], .offset = DECANT_CURRENT },
			{ .kind = DECANT_END_FD, .fd = sockets[0] },
			{ .kind = DECANT_END_FD, .fd = zero },
			{ .kind = DECANT_END_MEMORY, .addr = memory, .len = 16 },
			{ .kind = DECANT_END_PROCESS, .pid = getpid(),
			  .offset = (uintptr_t)memory },
			{ .kind = DECANT_END_FD, .fd = direct, .offset = 1 },
			{ .kind = DECANT_END_FD, .fd = pipes[1] },
			{ .kind = DECANT_END_FD, .fd = sockets[1] },
			{ .kind = DECANT_END_FD, .fd = terminal },
			{ .kind = DECANT_END_MEMORY, .addr = memory, .len = 16 },
		};

		sys_fault_arm(&plan);
		for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
			whole_life(ends[i], i < 6 ? END_SOURCE : END_SINK);
		fired = sys_fault_fired() > 0;
		sys_fault_disarm();
		is_int(kit_fds_open(), before, "call %lu (%s): nothing is left open", plan.nth,
		       sys_fault_fired_name());
	}
	ok(plan.nth > 40 && plan.nth < 500, "%lu calls were made to fail", plan.nth);
}
#else
static void test_faults(void)
{
	skip("calls are made to fail only with -Dfaults=true");
}
#endif

int main(void)
{
	opened_mask(NULL);
	tap_case("files: at offsets, short at the end", test_file);
	tap_case("files: O_APPEND", test_append);
	tap_case("files: a descriptor with O_DIRECT", test_direct_fd);
	tap_case("sockets", test_socket);
	tap_case_arg(test_memory, NULL, "memory");
	tap_case_arg(test_memory, "process_vm", "memory without process_vm_readv");
	tap_case("views, zero and null", test_views);
	tap_case_arg(test_process, NULL, "memory of a process");
	tap_case_arg(test_process, "process_vm", "memory of a process, as a file");
	tap_case("devices and terminals", test_other);
	tap_case("masters of terminals", test_master);
	tap_case("every call fails once", test_faults);
	caps_destroy(opened_caps);
	return done();
}
