/* SPDX-License-Identifier: MIT */
/*
 * What a caller can get wrong: each is refused with the errno that decant.h
 * promises and a sentence, and the engine is none the worse for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/kit.h"
#include "lib/leak.h"
#include "lib/witness.h"
#include "tap.h"

#define MISUSE_MS 10000

static struct decant *d;
static int file, read_only, write_only, directory, append;
static struct pair pipes, unix_pair;
static char memory[8192];

/* A transfer that would be right: 4096 bytes from a file to memory. */
static struct decant_transfer right(void)
{
	struct decant_transfer t = DECANT_TRANSFER_INIT;

	t.from = decant_file(file, 0);
	t.to = decant_memory(memory, 4096);
	t.len = 4096;
	return t;
}

static void refused(struct decant_transfer t, int64_t want, const char *name)
{
	struct decant_plan plan = DECANT_PLAN_INIT;
	int64_t id = decant_submit(d, &t);
	struct decant_event e = { 0 };

	if (!ok(id < 0, "%s: not accepted", name)) {
		while (decant_wait(d, &e, 1, MISUSE_MS) > 0)
			;
		diag("it ended with %d: %s", e.error, e.message);
		return;
	}
	if (want)
		is_int(id, want, "%s: %s", name, decant_strerror(d));
	ok(strchr(decant_strerror(d), ':'), "%s: the sentence says what and why: %s", name,
	   decant_strerror(d));
	is_int(decant_plan(d, &t, &plan), id, "%s: the plan says the same", name);
	is_int(decant_move(d, &t, &e), id, "%s: and so does a move", name);
	is_int(decant_wait(d, &e, 1, 0), 0, "%s: there are no events", name);
}

/* Where it can only be found out on the way: an error, sooner or later. */
static void fails(struct decant_transfer t, const char *name)
{
	struct decant_event e = { 0 };
	int64_t r = decant_move(d, &t, &e);

	ok(r < 0, "%s: %lld", name, (long long)r);
	ok(decant_strerror(d)[0], "%s: %s", name, decant_strerror(d));
}

static void misuse_fields(void)
{
	struct decant_transfer t;

	t = right(), t.size = 0;
	refused(t, -EINVAL, "size of 0");
	t = right(), t.size = 16;
	refused(t, -EINVAL, "size of less than the struct");
	t = right(), t.flags = 1u << 31;
	refused(t, -EINVAL, "an unknown flag");
	t = right(), t.guarantee = 7;
	refused(t, -EINVAL, "an unknown guarantee");
	t = right(), t.until = 9;
	refused(t, -EINVAL, "an unknown until");
	t = right(), t.checksum = 77;
	refused(t, -EINVAL, "an unknown checksum");
	t = right(), t.route = "no-such-route";
	refused(t, -EINVAL, "an unknown route");
	t = right(), t.route = "";
	refused(t, -EINVAL, "a route without a name");
	t = right(), t.route = "sendfile";
	refused(t, -ENOTSUP, "a route that does not fit");
	t = right(), t.from.flags = 1;
	refused(t, -EINVAL, "an end's reserved flag");
	t = right(), t.from.kind = 99;
	refused(t, -EINVAL, "an unknown kind of source");
	t = right(), t.to.kind = 99;
	refused(t, -EINVAL, "an unknown kind of sink");
	t = right(), t.len = 5000;
	refused(t, -EINVAL, "more than the memory takes");
	t = right(), t.to = decant_memory(NULL, 4096);
	refused(t, -EINVAL, "memory at NULL");
	t = right(), t.to.addr = (void *)-4096l, t.to.len = 8192;
	refused(t, -EINVAL, "memory that wraps around");
	t = right(), t.from.offset = (uint64_t)INT64_MAX + 1;
	refused(t, -EINVAL, "an offset that no file has");
	t = right(), t.from.offset = INT64_MAX - 5;
	t.to = decant_null();
	fails(t, "offset and length beyond what a file can have");
}

static void misuse_kinds(void)
{
	struct decant_transfer t;

	t = right(), t.from = decant_null();
	refused(t, 0, "null as a source");
	t = right(), t.to = decant_zero();
	refused(t, 0, "zero as a sink");
	t = right(), t.to = decant_process(getpid(), (uintptr_t)memory);
	refused(t, 0, "a process as a sink");
	t = right(), t.from = decant_process(getpid(), (uintptr_t)memory);
	t.len = DECANT_TO_END, t.to = decant_null();
	refused(t, -EINVAL, "a process without a length");
	t = right(), t.from = decant_process(0, (uintptr_t)memory);
	refused(t, 0, "process 0");
	t = right(), t.from = decant_process(-1, (uintptr_t)memory);
	refused(t, 0, "process -1");
	t = right(), t.from = decant_process(getpid(), 4096);
	fails(t, "memory that is not there, in a process");
	t = right(), t.from = decant_memory((void *)4096, 4096);
	fails(t, "memory that is not there, as a source");
	t = right(), t.to = decant_memory((void *)4096, 4096);
	fails(t, "memory that is not there, as a sink");
}

static void misuse_descriptors(void)
{
	struct decant_transfer t;

	t = right(), t.from.fd = -1;
	refused(t, -EBADF, "descriptor -1 as a source");
	t = right(), t.from.fd = 7777;
	refused(t, -EBADF, "a closed descriptor as a source");
	t = right(), t.to = decant_file(7777, 0);
	refused(t, -EBADF, "a closed descriptor as a sink");
	t = right(), t.to = decant_fd(7777);
	refused(t, -EBADF, "a closed descriptor of any kind");
	t = right(), t.from = decant_file(write_only, 0);
	refused(t, -EBADF, "a source that is open for writing only");
	t = right(), t.to = decant_file(read_only, 0);
	refused(t, -EBADF, "a sink that is open for reading only");
	t = right(), t.from = decant_pipe(pipes.out);
	refused(t, -EBADF, "a pipe's writing end as a source");
	t = right(), t.to = decant_pipe(pipes.in);
	fails(t, "a pipe's reading end as a sink");
	is_int(pair_waiting(&pipes), 0, "and nothing was written to it");
	t.len = 8192, t.from = decant_zero(), t.route = "read-write";
	refused(t, -EBADF, "the same, with the route named");
	t = right(), t.from = decant_file(directory, 0);
	refused(t, 0, "a directory");
	t = right(), t.from = decant_pipe(file);
	refused(t, -EINVAL, "a file that is said to be a pipe");
	t = right(), t.from = decant_socket(file);
	refused(t, -EINVAL, "a file that is said to be a socket");
	t = right(), t.from = decant_file(pipes.in, 0);
	refused(t, -EINVAL, "a pipe that is said to be a file");
	t = right(), t.from = decant_fd(unix_pair.in), t.from.offset = 5;
	refused(t, 0, "an offset in a socket");
	t = right(), t.to = decant_file(append, 0);
	refused(t, 0, "an offset in a file that is open for appending");
}

static int misuse_socket(int type, bool listening)
{
	int fd = kit_must(socket(AF_INET, type | SOCK_CLOEXEC, 0));

	if (listening)
		kit_must(listen(fd, 1));
	return fd;
}

static void misuse_sockets(void)
{
	int udp = misuse_socket(SOCK_DGRAM, false), listener = misuse_socket(SOCK_STREAM, true);
	int unconnected = misuse_socket(SOCK_STREAM, false), packets[2];
	struct decant_transfer t;

	kit_must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, packets));
	t = right(), t.to = decant_socket(udp);
	refused(t, 0, "a datagram socket");
	t = right(), t.to = decant_socket(packets[0]);
	refused(t, 0, "a socket of packets");
	t = right(), t.to = decant_socket(listener);
	fails(t, "a listening socket as a sink");
	t = right(), t.from = decant_socket(listener);
	fails(t, "a listening socket as a source");
	t = right(), t.to = decant_socket(unconnected);
	fails(t, "a socket that is not connected");
	close(udp);
	close(listener);
	close(unconnected);
	close(packets[0]);
	close(packets[1]);
}

/* A number that was a stream socket a moment ago, and is one of datagrams now. */
static void misuse_reused(void)
{
	int udp = misuse_socket(SOCK_DGRAM, false);
	struct decant_transfer t;
	struct pair pair;

	pair_open(&pair, PAIR_LOOPBACK, NULL);
	t = right(), t.to = decant_socket(pair.out), t.until = DECANT_UNTIL_SENT;
	is_int(decant_move(d, &t, NULL), 4096, "a stream socket");
	kit_must(dup2(udp, pair.out));
	t.until = DECANT_UNTIL_DELIVERED;
	refused(t, 0, "its number as a datagram socket, where delivery is asked for");
	t.until = DECANT_UNTIL_SENT;
	usleep(200000);
	refused(t, 0, "its number as a datagram socket, a moment later");
	pair_close(&pair);
	close(udp);
}

static void misuse_pairs(void)
{
	struct decant_transfer t;
	struct pair blocking;
	char first[4096];

	t = right(), t.flags = DECANT_DIRECT, t.to = decant_pipe(pipes.out);
	t.route = "read-write";
	refused(t, -ENOTSUP, "past the page cache, by a route that goes through it");
	pair_open(&blocking, PAIR_LOOPBACK, &(struct pair_options){ .blocking = true });
	t = right(), t.to = decant_socket(blocking.out), t.route = "sendfile";
	t.guarantee = DECANT_LIVE;
	refused(t, -ENOTSUP, "sendfile to a socket that blocks");
	pair_close(&blocking);
	/* onto itself, shifted: right, or refused, but never garbage */
	pattern_write(file, 0, 100000, PATTERN_OLD);
	t = right(), t.to = decant_file(file, 1000), t.len = 50000;
	if (decant_move(d, &t, NULL) == 50000) {
		struct pattern_report r = { 0 };

		pattern_check_file(&r, file, 1000, 50000, 0, PATTERN_OLD);
		ok(pattern_clean(&r), "a file onto itself, shifted: %s", pattern_text(&r));
	} else {
		ok(decant_strerror(d)[0], "a file onto itself, shifted: %s", decant_strerror(d));
	}
	pattern_write(file, 0, 100000, PATTERN_OLD);
	t = right();
	is_int(decant_move(d, &t, NULL), 4096, "what is right is still right");
	pattern_fill(first, sizeof(first), 0, PATTERN_OLD);
	is_mem(memory, first, sizeof(first), "and so are the bytes");
}

/* Nothing at all, from and to everywhere: done, with nothing moved. */
static void misuse_nothing(void)
{
	struct decant_end sinks[] = { decant_file(file, 0), decant_pipe(pipes.out),
				      decant_socket(unix_pair.out), decant_memory(memory, 0),
				      decant_null() };
	struct decant_end sources[] = { decant_file(file, 0), decant_memory(memory, 0),
					decant_zero(), decant_file(file, 1000000),
					decant_pipe(pipes.in) };

	for (unsigned i = 0; i < 5; i++)
		for (unsigned k = 0; k < 5; k++) {
			struct decant_transfer t = DECANT_TRANSFER_INIT;
			struct decant_event e = { 0 };

			if (i == 1 && k == 4)
				continue; /* a pipe into itself */
			t.from = sources[k];
			t.to = sinks[i];
			t.len = 0;
			is_int(decant_move(d, &t, &e), 0, "nothing, %u to %u: %s", k, i, e.message);
			is_int(e.error, 0, "%u to %u: it ended well", k, i);
			is_int(e.bytes, 0, "%u to %u: nothing moved", k, i);
		}
}

static void misuse_calls(void)
{
	struct decant_options options = DECANT_OPTIONS_INIT;
	struct decant_plan plan = DECANT_PLAN_INIT;
	struct decant_transfer t = right();
	struct decant *other = NULL;
	struct decant_event e;

	options.size = 0;
	is_int(decant_open(&other, &options), -EINVAL, "options without a size");
	options.size = sizeof(options);
	options.backend = 9;
	is_int(decant_open(&other, &options), -EINVAL, "an unknown backend");
	ok(other == NULL, "nothing is returned");
	decant_close(NULL);
	ok(decant_strerror(NULL) != NULL, "a sentence of no engine");
	plan.size = 0;
	is_int(decant_plan(d, &t, &plan), -EINVAL, "a plan without a size");
	is_int(decant_cancel(d, 0), -ENOENT, "cancel 0");
	is_int(decant_cancel(d, UINT64_MAX), -ENOENT, "cancel what never was");
	is_int(decant_wait(d, NULL, 0, 0), 0, "no room for events, and none are there");
	is_int(decant_wait(d, &e, 1, 100), 0, "nothing in flight: at once");
	ok(strcmp(decant_version(), "0.1.0") == 0, "the version");
}

int main(void)
{
	struct pair loopback;
	struct leak before;
	char *path;

	tap_case_seconds = 60;
	need_root();
	kit_start(120);
	fs_start();
	file = fs_file(FS_EXT4, &path);
	pattern_write(file, 0, 100000, PATTERN_OLD);
	read_only = kit_must(open(path, O_RDONLY | O_CLOEXEC));
	write_only = kit_must(open(path, O_WRONLY | O_CLOEXEC));
	append = kit_must(open(path, O_WRONLY | O_APPEND | O_CLOEXEC));
	free(path);
	directory = kit_must(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	pair_open(&pipes, PAIR_PIPE, NULL);
	pair_open(&unix_pair, PAIR_UNIX, NULL);
	pair_open(&loopback, PAIR_LOOPBACK, NULL); /* its namespaces stay */
	pair_close(&loopback);
	leak_take(&before);
	for (int b = DECANT_BACKEND_URING; b <= DECANT_BACKEND_THREADS; b++) {
		d = track_engine((enum decant_backend)b, NULL);
		misuse_fields();
		misuse_kinds();
		misuse_descriptors();
		misuse_pairs();
		misuse_nothing();
		misuse_calls();
		is_str(witness_again(d), "", "%s: none the worse for it", track_backends[b]);
		decant_close(d);
		ok(!leak_since(&before, 1000), "%s: closed: %s", track_backends[b],
		   leak_since(&before, 0));
		d = track_engine((enum decant_backend)b, NULL);
		misuse_sockets();
	misuse_reused();
		decant_close(d);
	}
	return done();
}
