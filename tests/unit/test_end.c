/* SPDX-License-Identifier: MIT */
/* end/: what init finds an end to be, and which ends it refuses. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>

#include "end/end.h"
#include "lib/kit.h"
#include "lib/said.h"
#include "sys/fault.h"
#include "tap.h"

/* ----------------------------------------------------------------- refusals */

static int dir_fd, dgram_fd, stream_fd, pipe_fds[2], file_fd, append_fd, closed_fd;

static void make_descriptors(void)
{
	dir_fd = open("/tmp", O_RDONLY | O_DIRECTORY);
	dgram_fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	stream_fd = socket(AF_UNIX, SOCK_STREAM, 0);
	file_fd = kit_scratch(0);
	append_fd = kit_scratch(O_APPEND);
	closed_fd = fcntl(file_fd, F_DUPFD, 500);
	need(dir_fd >= 0 && dgram_fd >= 0 && pipe(pipe_fds) == 0 && closed_fd >= 0, "descriptors");
	close(closed_fd);
}

static void test_refusals(void)
{
	char byte;
	struct decant_end null = { .kind = DECANT_END_NULL, .fd = -1 };
	struct decant_end zero = { .kind = DECANT_END_ZERO, .fd = -1 };
	struct decant_end process = { .kind = DECANT_END_PROCESS, .fd = -1, .pid = 1 };
	struct decant_end flags = said_fd(DECANT_END_FILE, file_fd, 0);

	flags.flags = 1;
	said_refused(flags, END_SOURCE, -EINVAL, "source flags 0x1: unknown");
	said_refused(said_fd(99, file_fd, 0), END_SINK, -EINVAL, "sink kind 99: unknown");
	said_refused(said_fd(DECANT_END_FILE, -1, 0), END_SOURCE, -EBADF, "source: no descriptor");
	said_refused(said_fd(DECANT_END_SOCKET, -5, 0), END_SINK, -EBADF, "sink: no descriptor");
	said_refused(said_fd(DECANT_END_FD, closed_fd, DECANT_CURRENT), END_SOURCE, -EBADF,
		     "Bad file");
	said_refused(said_fd(DECANT_END_FILE, closed_fd, DECANT_CURRENT), END_SOURCE, -EBADF,
		     "Bad file");
	said_refused(said_fd(DECANT_END_FILE, closed_fd, 0), END_SINK, -EBADF, "Bad file");
	said_refused(said_fd(DECANT_END_FD, dir_fd, 0), END_SOURCE, -EISDIR, "is a directory");
	said_refused(said_fd(DECANT_END_FD, dgram_fd, 0), END_SINK, -ENOTSUP,
		     "not a stream socket");
	said_refused(said_fd(DECANT_END_FILE, pipe_fds[0], DECANT_CURRENT), END_SOURCE, -EINVAL,
	       "its position");
	said_refused(said_fd(DECANT_END_FILE, file_fd, (uint64_t)INT64_MAX + 1), END_SOURCE,
		     -EINVAL, "beyond what a file can have");
	said_refused(said_fd(DECANT_END_FILE, append_fd, 0), END_SINK, -EINVAL, "has O_APPEND");
	said_refused(said_fd(DECANT_END_PIPE, pipe_fds[0], 7), END_SOURCE, -EINVAL,
		     "a pipe has none");
	said_refused(said_fd(DECANT_END_SOCKET, dgram_fd, 7), END_SINK, -EINVAL,
		     "a socket has none");
	said_refused(said_fd(DECANT_END_FD, pipe_fds[1], 7), END_SINK, -EINVAL, "a pipe has none");
	said_refused(said_memory(NULL, 1), END_SOURCE, -EINVAL, "no such range");
	said_refused(said_memory(&byte, UINT64_MAX), END_SINK, -EINVAL, "no such range");
	said_refused(null, END_SOURCE, -ENOTSUP, "null is a sink only");
	said_refused(zero, END_SINK, -ENOTSUP, "zero is a source only");
	said_refused(process, END_SINK, -ENOTSUP, "a source only");
	process.pid = 0;
	said_refused(process, END_SOURCE, -EINVAL, "no process id");
	process.pid = 1;
	process.offset = DECANT_CURRENT;
	said_refused(process, END_SOURCE, -EINVAL, "no address");
	ok(end_init(&(struct end){ 0 }, &null, END_SOURCE, NULL) == -ENOTSUP, "err may be NULL");
}

/* ---------------------------------------------------------- what init finds */

static void is_kind(struct decant_end said, enum end_side side, enum decant_end_kind kind,
		    const char *noun)
{
	struct end e;
	struct err err = { "" };

	if (!is_int(end_init(&e, &said, side, &err), 0, "a %s is accepted", noun))
		diag("%s", err.text);
	is_int(e.kind, kind, "a %s is found to be of its kind", noun);
	is_str(end_noun(&e), noun, "and is called %s", noun);
}

static void test_kinds(void)
{
	int sv[2], tty = open("/dev/ptmx", O_RDWR | O_NOCTTY);

	need(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0 && tty >= 0, "descriptors");
	is_kind(said_fd(DECANT_END_FD, file_fd, DECANT_CURRENT), END_SOURCE, DECANT_END_FILE,
		"file");
	is_kind(said_fd(DECANT_END_FD, pipe_fds[0], DECANT_CURRENT), END_SOURCE, DECANT_END_PIPE,
		"pipe");
	is_kind(said_fd(DECANT_END_FD, sv[0], DECANT_CURRENT), END_SINK, DECANT_END_SOCKET,
		"socket");
	is_kind(said_fd(DECANT_END_FD, tty, DECANT_CURRENT), END_SINK, DECANT_END_FD,
		"terminal");
	is_kind(said_fd(DECANT_END_FD, open("/dev/null", O_RDWR), DECANT_CURRENT), END_SINK,
		DECANT_END_FD, "descriptor");
	is_kind(said_memory(&tty, 4), END_SINK, DECANT_END_MEMORY, "memory");
	is_kind(said_memory(NULL, 0), END_SOURCE, DECANT_END_MEMORY, "memory");
	is_kind((struct decant_end){ .kind = DECANT_END_PROCESS, .pid = 1 }, END_SOURCE,
		DECANT_END_PROCESS, "memory of a process");
	is_kind((struct decant_end){ .kind = DECANT_END_NULL }, END_SINK, DECANT_END_NULL, "null");
	is_kind((struct decant_end){ .kind = DECANT_END_ZERO }, END_SOURCE, DECANT_END_ZERO,
		"zero");
	close(tty);
	close(sv[0]);
	close(sv[1]);
}

static void test_position(void)
{
	struct decant_end said = said_fd(DECANT_END_FILE, file_fd, DECANT_CURRENT);
	struct end e;

	need(lseek(file_fd, 1234, SEEK_SET) == 1234, "lseek");
	need(end_init(&e, &said, END_SOURCE, NULL) == 0, "init");
	is_int(e.offset, 1234, "the descriptor's position is where it starts");
	ok(e.position && e.seekable, "and will be moved on");
	end_close(&e, 100);
	is_int(lseek(file_fd, 0, SEEK_CUR), 1334, "close moves the position on by what was moved");
	end_close(&e, 100);
	is_int(lseek(file_fd, 0, SEEK_CUR), 1334, "but once");
	said.offset = 5;
	need(end_init(&e, &said, END_SOURCE, NULL) == 0, "init");
	end_close(&e, 100);
	is_int(lseek(file_fd, 0, SEEK_CUR), 1334, "an explicit offset leaves it alone");
	said = said_fd(DECANT_END_FILE, append_fd, DECANT_CURRENT);
	need(end_init(&e, &said, END_SINK, NULL) == 0, "init");
	ok(e.append && e.position && !e.seekable, "an appending sink has no offsets");
}

#ifdef DECANT_FAULTS
static unsigned long calls_of_init(struct decant_end said, enum end_side side)
{
	struct sys_fault_plan count = { .nth = 0 };
	struct end e;

	sys_fault_arm(&count);
	need(end_init(&e, &said, side, NULL) == 0, "init");
	end_close(&e, 10);
	return sys_fault_calls();
}

static void test_calls(void)
{
	is_int(calls_of_init(said_fd(DECANT_END_FILE, file_fd, 0), END_SOURCE), 0,
	       "a file source costs no system call");
	is_int(calls_of_init(said_fd(DECANT_END_SOCKET, stream_fd, 0), END_SINK), 1,
	       "a socket costs one: whether it is a stream");
	is_int(calls_of_init(said_fd(DECANT_END_PIPE, 7, 0), END_SINK), 0, "a pipe none");
	is_int(calls_of_init(said_memory(&file_fd, 4), END_SINK), 0, "nor memory");
	is_int(calls_of_init(said_fd(DECANT_END_FILE, file_fd, 0), END_SINK), 1,
	       "a file sink costs one");
	ok(calls_of_init(said_fd(DECANT_END_FD, file_fd, DECANT_CURRENT), END_SOURCE) > 1,
	   "control: the counter sees the calls of a descriptor to be found out about");
}
#else
static void test_calls(void)
{
	skip("system calls are counted only with -Dfaults=true");
}
#endif

/* --------------------------------------------------------------------- size */

static void test_size(void)
{
	struct decant_end said;
	struct end e;
	int proc = open("/proc/self/status", O_RDONLY);

	need(proc >= 0 && ftruncate(file_fd, 5000) == 0, "files");
	said = said_fd(DECANT_END_FILE, file_fd, 0);
	need(end_init(&e, &said, END_SOURCE, NULL) == 0, "init");
	ok(e.size == END_SIZE_UNKNOWN, "no size before it is asked for");
	is_int(end_size(&e), 5000, "size of a file");
	need(ftruncate(file_fd, 300) == 0, "ftruncate");
	is_int(end_size(&e), 5000, "is kept");
	is_int(end_size_now(&e), 300, "the size now is asked anew");
	said = said_fd(DECANT_END_FILE, proc, 0);
	need(end_init(&e, &said, END_SOURCE, NULL) == 0, "init");
	ok(end_size(&e) == END_SIZE_UNKNOWN, "a size of 0 is none: /proc");
	is_int(end_size_now(&e), 0, "but is the size now");
	said = said_memory(&e, 17);
	need(end_init(&e, &said, END_SINK, NULL) == 0, "init");
	is_int(end_size(&e), 17, "size of memory");
	said = said_fd(DECANT_END_PIPE, pipe_fds[0], 0);
	need(end_init(&e, &said, END_SOURCE, NULL) == 0, "init");
	ok(end_size(&e) == END_SIZE_UNKNOWN, "a pipe has none");
	close(proc);
}

int main(void)
{
	make_descriptors();
	test_refusals();
	test_kinds();
	test_position();
	tap_case("init makes as few system calls as it says", test_calls);
	test_size();
	return done();
}
