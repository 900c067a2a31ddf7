/* SPDX-License-Identifier: MIT */
/*
 * Every route to a socket, by its name: sizes and offsets that are no whole
 * pages, from every source it takes, to TCP and AF_UNIX, fast and slow readers;
 * that what it says of its CPU copies is what it did; and each refusal.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/kit.h"
#include "lib/leak.h"
#include "lib/reader.h"
#include "lib/sink.h"
#include "lib/source.h"
#include "lib/track.h"
#include "tap.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define MORE (70000) /* the source goes on behind what is asked for */
#define STREAM_MAX (512 * KIB)

static const uint64_t sizes[] = { 0, 1, 511, 4096, 4097, 64 * KIB, MIB, 3 * MIB + 517 };
static const uint64_t offsets[] = { 0, 4096, 512, 1, 12345 };

/* Bits of row.to and row.backends. */
#define TCP (1u << SINK_LOOPBACK | 1u << SINK_VETH)
#define ANY_SOCKET (TCP | 1u << SINK_UNIX)
#define RING (1u << DECANT_BACKEND_URING)
#define BOTH (RING | 1u << DECANT_BACKEND_THREADS)
#define FS(kind) (1u << (kind))
#define DISK_FS (FS(FS_EXT4) | FS(FS_XFS) | FS(FS_BTRFS))
#define ALL_FS (DISK_FS | FS(FS_TMPFS))

struct row {
	const char *route;
	enum source_kind from;
	unsigned to, backends, fs;
	/* CPU copies of each byte, here where no device takes the pages: the
	 * kernel copies on delivery, and a zero-copy route says so. */
	unsigned copies;
	uint32_t guarantee;
};

static const struct row rows[] = {
	{ "map-zc", SOURCE_FILE, TCP, RING, ALL_FS, 1, DECANT_STABLE },
	{ "map-msgzc", SOURCE_FILE, TCP, BOTH, ALL_FS, 1, DECANT_STABLE },
	{ "map-send", SOURCE_FILE, ANY_SOCKET, BOTH, ALL_FS, 1, DECANT_STABLE },
	{ "map-send", SOURCE_DIRECT, ANY_SOCKET, BOTH, FS(FS_EXT4), 1, DECANT_STABLE },
	{ "read-zc", SOURCE_FILE, TCP, RING, ALL_FS, 2, DECANT_STABLE },
	{ "read-zc", SOURCE_DIRECT, TCP, RING, FS(FS_EXT4), 2, DECANT_STABLE },
	{ "read-zc", SOURCE_PROCESS, TCP, RING, FS(FS_TMPFS), 2, DECANT_STABLE },
	{ "read-zc", SOURCE_PIPE, TCP, RING, FS(FS_TMPFS), 2, DECANT_STABLE },
	{ "read-zc", SOURCE_TCP, TCP, RING, FS(FS_EXT4), 2, DECANT_STABLE },
	{ "read-zc", SOURCE_UNIX, TCP, RING, FS(FS_EXT4), 2, DECANT_STABLE },
	{ "direct-zc", SOURCE_FILE, ANY_SOCKET, BOTH, DISK_FS, 1, DECANT_STABLE },
	{ "direct-zc", SOURCE_DIRECT, ANY_SOCKET, BOTH, FS(FS_EXT4), 1, DECANT_STABLE },
	{ "direct-splice", SOURCE_FILE, ANY_SOCKET, BOTH, DISK_FS, 0, DECANT_STABLE },
	{ "direct-splice", SOURCE_DIRECT, ANY_SOCKET, BOTH, FS(FS_EXT4), 0, DECANT_STABLE },
	{ "clone-sendfile", SOURCE_FILE, ANY_SOCKET, BOTH, FS(FS_XFS) | FS(FS_BTRFS), 0,
	  DECANT_STABLE },
	{ "sendfile", SOURCE_FILE, ANY_SOCKET, BOTH, ALL_FS, 0, DECANT_LIVE },
	{ "splice", SOURCE_FILE, ANY_SOCKET, BOTH, ALL_FS, 0, DECANT_LIVE },
	{ "splice", SOURCE_PIPE, ANY_SOCKET, BOTH, FS(FS_TMPFS), 0, DECANT_LIVE },
	{ "splice", SOURCE_TCP, ANY_SOCKET, BOTH, FS(FS_EXT4), 0, DECANT_LIVE },
	{ "splice", SOURCE_UNIX, ANY_SOCKET, BOTH, FS(FS_EXT4), 0, DECANT_LIVE },
	{ "zc", SOURCE_MEMORY, TCP, RING, FS(FS_TMPFS), 1, DECANT_STABLE },
	{ "zc", SOURCE_MAPPED, TCP, RING, FS(FS_EXT4), 1, DECANT_STABLE },
	{ "msgzc", SOURCE_MEMORY, TCP, BOTH, FS(FS_TMPFS), 1, DECANT_STABLE },
	{ "send", SOURCE_MEMORY, ANY_SOCKET, BOTH, FS(FS_TMPFS), 1, DECANT_STABLE },
	{ "read-send", SOURCE_FILE, ANY_SOCKET, BOTH, ALL_FS, 2, DECANT_STABLE },
	{ "read-send", SOURCE_DIRECT, ANY_SOCKET, BOTH, FS(FS_EXT4), 2, DECANT_STABLE },
	{ "read-send", SOURCE_PROCESS, ANY_SOCKET, BOTH, FS(FS_TMPFS), 2, DECANT_STABLE },
	{ "read-send", SOURCE_PIPE, ANY_SOCKET, BOTH, FS(FS_TMPFS), 2, DECANT_STABLE },
	{ "read-send", SOURCE_TCP, ANY_SOCKET, BOTH, FS(FS_EXT4), 2, DECANT_STABLE },
};

struct one {
	const struct row *row;
	struct decant *d;
	enum fs_kind fs;
	enum sink_kind to;
	uint64_t offset, len;
	bool to_end, move, slow;
};

static bool is_stream(enum source_kind k)
{
	return k == SOURCE_PIPE || k == SOURCE_TCP || k == SOURCE_UNIX;
}

/* By decant_move(), with a reader on another thread. */
static int64_t one_move(const struct one *o, struct decant_transfer *t, struct sink *to,
			struct decant_event *end)
{
	struct reader r = { .fd = to->pair.in, .offset = o->offset, .gen = PATTERN_OLD,
			    .limit = o->len, .pause_us = o->slow ? 200 : 0,
			    .chunk = o->slow ? 5000 : 0 };
	int64_t n;

	if (o->len) {
		reader_start(&r);
		reader_go(&r);
	}
	n = decant_move(o->d, t, end);
	if (n < 0)
		shutdown(to->pair.out, SHUT_WR);
	if (o->len)
		reader_join(&r);
	to->got = r.bytes;
	to->report = r.report;
	return n;
}

/* By decant_submit(), read by the same thread in between. */
static int64_t one_submit(const struct one *o, struct decant_transfer *t, struct sink *to,
			  struct decant_event *end)
{
	struct track tr;

	if (track_submit(o->d, t, &tr) < 0)
		return -1;
	while (!track_until(o->d, &tr, DECANT_ENDED, 1))
		sink_drain(to, o->slow ? 5000 : MIB, 0);
	*end = tr.last[DECANT_ENDED];
	sink_finish(to, end->bytes);
	ok(tr.wrong[0] == '\0', "events: %s", tr.wrong);
	is_int(tr.last[DECANT_SNAPSHOTTED].flags & DECANT_NOT_CERTAIN,
	       o->row->guarantee == DECANT_LIVE ? DECANT_NOT_CERTAIN : 0, "certain or not");
	return end->error ? end->error : (int64_t)end->bytes;
}

static void one_run(const struct one *o)
{
	struct pair_options options = { .small = o->slow };
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct decant_event end = { 0 };
	struct source from;
	struct sink to;
	int64_t n;

	source_open(&from, o->row->from, o->fs, o->offset, o->len + (o->to_end ? 0 : MORE));
	sink_open(&to, o->to, o->fs, o->offset, o->len, &options);
	t.from = from.end;
	t.to = to.end;
	t.len = o->to_end ? DECANT_TO_END : o->len;
	t.route = o->row->route;
	t.guarantee = o->row->guarantee;
	n = o->move ? one_move(o, &t, &to, &end) : one_submit(o, &t, &to, &end);
	is_int(n, o->len, "moved: %s", end.message[0] ? end.message : decant_strerror(o->d));
	is_str(end.route, o->row->route, "by the route that was asked for");
	is_int(to.got, o->len, "all arrived");
	ok(pattern_clean(&to.report), "and right: %s", pattern_text(&to.report));
	is_int(end.cpu_copies, o->row->copies * o->len, "CPU copies");
	is_int(end.copied_bytes, o->row->copies ? o->len : 0, "bytes that were copied");
	sink_close(&to);
	source_close(&from);
}

struct arg {
	const struct row *row;
	enum fs_kind fs;
	enum sink_kind to;
	enum decant_backend backend;
};

static void one_of_matrix(struct one *o, unsigned i)
{
	int before = tap_shared->case_failed;

	if (is_stream(o->row->from) && (o->len > STREAM_MAX || o->offset))
		return;
	o->to_end = i % 2 && o->row->from != SOURCE_PROCESS;
	o->move = i / 2 % 2;
	if (o->row->from == SOURCE_DIRECT || o->row->from == SOURCE_FILE)
		one_run(o);
	else if (o->len + MORE < STREAM_MAX || !is_stream(o->row->from))
		one_run(o);
	if (tap_shared->case_failed != before)
		diag("in: %llu bytes from %llu%s, %s", (unsigned long long)o->len,
		     (unsigned long long)o->offset, o->to_end ? " to the end" : "",
		     o->move ? "decant_move" : "decant_submit");
}

static void matrix(const void *p)
{
	const struct arg *a = p;
	struct one o = { .row = a->row, .fs = a->fs, .to = a->to };
	struct leak before;
	struct sink first;
	unsigned i = 0;

	sink_open(&first, SINK_LOOPBACK, a->fs, 0, 0, NULL); /* makes the namespaces */
	sink_close(&first);
	decant_close(track_engine(a->backend, NULL)); /* the sanitizer's own thread */
	leak_take(&before);
	o.d = track_engine(a->backend, NULL);
	for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
		for (unsigned f = 0; f < sizeof(offsets) / sizeof(offsets[0]); f++, i++) {
			/* Each offset with each size in the long run, two here. */
			if (!kit_full() && f != s % 5 && f != (s + 3) % 5)
				continue;
			o.len = sizes[s];
			o.offset = offsets[f];
			one_of_matrix(&o, i);
		}
	decant_close(o.d);
	ok(!leak_since(&before, 1000), "closed: %s", leak_since(&before, 0));
}

static void large(const void *p)
{
	const struct arg *a = p;
	struct one o = { .row = a->row, .fs = a->fs, .to = a->to, .len = 64 * MIB + 3,
			 .offset = 4097 };

	o.d = track_engine(a->backend, NULL);
	o.move = a->backend == DECANT_BACKEND_URING;
	o.to_end = !o.move && a->row->from != SOURCE_PROCESS;
	one_run(&o);
	decant_close(o.d);
}

static void slow(const void *p)
{
	const struct arg *a = p;
	struct one o = { .row = a->row, .fs = a->fs, .to = a->to, .len = 300 * KIB + 3,
			 .offset = is_stream(a->row->from) ? 0 : 77, .slow = true };

	o.d = track_engine(a->backend, NULL);
	one_run(&o);
	o.move = true;
	one_run(&o);
	decant_close(o.d);
}

/* ---------------------------------------------------------------- refusals */

struct refusal {
	const char *route;
	enum source_kind from;
	enum fs_kind fs;
	enum sink_kind to;
	enum decant_backend backend;
	uint32_t guarantee;
	bool blocking;
	const char *mask, *why; /* why NULL: it must fit (the control) */
};

#define URING DECANT_BACKEND_URING
#define THREADS DECANT_BACKEND_THREADS

static const struct refusal refusals[] = {
	{ "map-zc", SOURCE_FILE, FS_EXT4, SINK_LOOPBACK, URING, DECANT_STABLE, true, NULL, NULL },
	{ "map-zc", SOURCE_FILE, FS_EXT4, SINK_UNIX, URING, DECANT_STABLE, false, NULL,
	  "TCP only" },
	{ "map-zc", SOURCE_FILE, FS_EXT4, SINK_LOOPBACK, THREADS, DECANT_STABLE, false, NULL,
	  "without io_uring" },
	{ "map-zc", SOURCE_FILE, FS_EXT4, SINK_LOOPBACK, URING, DECANT_STABLE, false, "send_zc",
	  "send_zc" },
	{ "map-msgzc", SOURCE_FILE, FS_EXT4, SINK_UNIX, URING, DECANT_STABLE, false, NULL,
	  "TCP only" },
	{ "read-zc", SOURCE_FILE, FS_EXT4, SINK_UNIX, URING, DECANT_STABLE, false, NULL,
	  "TCP only" },
	{ "zc", SOURCE_MEMORY, FS_EXT4, SINK_LOOPBACK, THREADS, DECANT_STABLE, false, NULL,
	  "without io_uring" },
	{ "msgzc", SOURCE_MEMORY, FS_EXT4, SINK_UNIX, THREADS, DECANT_STABLE, false, NULL,
	  "TCP only" },
	{ "direct-zc", SOURCE_FILE, FS_TMPFS, SINK_LOOPBACK, URING, DECANT_STABLE, false, NULL,
	  "O_DIRECT" },
	{ "direct-splice", SOURCE_FILE, FS_TMPFS, SINK_LOOPBACK, URING, DECANT_STABLE, false,
	  NULL, "O_DIRECT" },
	{ "direct-splice", SOURCE_FILE, FS_EXT4, SINK_LOOPBACK, URING, DECANT_STABLE, true, NULL,
	  "blocking mode" },
	{ "clone-sendfile", SOURCE_FILE, FS_EXT4, SINK_LOOPBACK, URING, DECANT_STABLE, false,
	  NULL, "does not share blocks" },
	{ "clone-sendfile", SOURCE_FILE, FS_XFS, SINK_LOOPBACK, URING, DECANT_STABLE, true, NULL,
	  "blocking mode" },
	{ "clone-sendfile", SOURCE_FILE, FS_XFS, SINK_LOOPBACK, URING, DECANT_STABLE, false,
	  "reflink", "masked" },
	{ "clone-sendfile", SOURCE_FILE, FS_XFS, SINK_LOOPBACK, URING, DECANT_STABLE, false,
	  NULL, NULL },
	{ "sendfile", SOURCE_FILE, FS_EXT4, SINK_LOOPBACK, URING, DECANT_STABLE, false, NULL,
	  "a later write shows" },
	{ "sendfile", SOURCE_FILE, FS_EXT4, SINK_LOOPBACK, URING, DECANT_LIVE, true, NULL,
	  "blocking mode" },
	{ "sendfile", SOURCE_FILE, FS_EXT4, SINK_LOOPBACK, URING, DECANT_LIVE, false, NULL,
	  NULL },
	{ "splice", SOURCE_FILE, FS_EXT4, SINK_LOOPBACK, URING, DECANT_STABLE, false, NULL,
	  "a later write shows" },
	{ "splice", SOURCE_PIPE, FS_EXT4, SINK_LOOPBACK, URING, DECANT_STABLE, false, NULL,
	  "vmsplice" },
	{ "splice", SOURCE_UNIX, FS_EXT4, SINK_LOOPBACK, URING, DECANT_STABLE, false, NULL,
	  "vmsplice" },
	{ "splice", SOURCE_PIPE, FS_EXT4, SINK_UNIX, THREADS, DECANT_LIVE, true, NULL,
	  "blocking mode" },
};

static const char *refused_why(const struct decant_plan *plan, const char *route)
{
	for (unsigned i = 0; i < plan->refused_n; i++)
		if (!strcmp(plan->refused[i].route, route))
			return plan->refused[i].why;
	return "it is not among the refused";
}

static void refuse(const void *p)
{
	const struct refusal *c = p;
	struct pair_options options = { .blocking = c->blocking };
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct decant_plan plan = DECANT_PLAN_INIT;
	struct decant *d = track_engine(c->backend, c->mask);
	struct source from;
	struct sink to;

	source_open(&from, c->from, c->fs, 0, 65536);
	sink_open(&to, c->to, c->fs, 0, 65536, &options);
	t.from = from.end;
	t.to = to.end;
	t.len = 65536;
	t.route = c->route;
	t.guarantee = c->guarantee;
	if (c->why) {
		is_int(decant_plan(d, &t, &plan), -ENOTSUP, "refused");
		ok(strstr(refused_why(&plan, c->route), c->why), "because: %s",
		   refused_why(&plan, c->route));
		is_int(decant_submit(d, &t), -ENOTSUP, "and not moved");
		ok(strstr(decant_strerror(d), c->why), "saying: %s", decant_strerror(d));
	} else {
		is_int(decant_plan(d, &t, &plan), 0, "it fits: %s", decant_strerror(d));
		is_str(plan.route, c->route, "by its name");
	}
	sink_close(&to);
	source_close(&from);
	decant_close(d);
}

/* ------------------------------------------------- what is particular to some */

/* A sealed memfd cannot change: sendfile is stable, and says so at once. */
static void sealed(const void *p)
{
	const char *const *route = p;
	struct pair_options options = { .holds = MIB };
	struct decant *d = track_engine(DECANT_BACKEND_AUTO, NULL);
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	int fd = kit_must(memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
	struct track tr;
	struct sink to;

	pattern_write(fd, 0, 8 * MIB, PATTERN_OLD);
	sink_open(&to, SINK_LOOPBACK, FS_TMPFS, 0, 8 * MIB, &options);
	t.from = decant_file(fd, 0);
	t.to = to.end;
	t.route = *route;
	is_int(track_submit(d, &t, &tr), -ENOTSUP, "refused while it can be written");
	kit_must(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK));
	ok(track_submit(d, &t, &tr) > 0, "%s", decant_strerror(d));
	ok(track_until(d, &tr, DECANT_SNAPSHOTTED, 5000), "SNAPSHOTTED, with the reader asleep");
	is_int(tr.last[DECANT_SNAPSHOTTED].flags & DECANT_NOT_CERTAIN, 0, "certain");
	while (!track_until(d, &tr, DECANT_ENDED, 1))
		sink_drain(&to, MIB, 0);
	is_str(track_verdict(&tr, 0), "", "ended");
	sink_finish(&to, 8 * MIB);
	is_int(to.got, 8 * MIB, "all arrived");
	ok(pattern_clean(&to.report), "right: %s", pattern_text(&to.report));
	sink_close(&to);
	close(fd);
	decant_close(d);
}

static uint64_t resident(int fd, uint64_t len)
{
	unsigned char vec[1024];
	uint64_t n = 0, pages = (len + 4095) / 4096;
	void *p = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);

	need(p != MAP_FAILED && pages <= sizeof(vec), "mmap");
	kit_must(mincore(p, len, vec));
	for (uint64_t i = 0; i < pages; i++)
		n += vec[i] & 1;
	munmap(p, len);
	return n;
}

/* Past the page cache means that nothing of the file is in it afterwards. */
static void past_cache(const void *p)
{
	const char *const *route = p;
	bool direct = strncmp(*route, "direct", 6) == 0;
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct pair_options options = { .holds = 2 * MIB };
	struct decant *d = track_engine(DECANT_BACKEND_AUTO, NULL);
	struct source from;
	struct sink to;

	source_open(&from, SOURCE_FILE, FS_EXT4, 0, 2 * MIB);
	sink_open(&to, SINK_LOOPBACK, FS_EXT4, 4099, MIB, &options);
	fs_cold(from.fd);
	is_int(resident(from.fd, 2 * MIB), 0, "the file is cold");
	t.from = decant_file(from.fd, 4099);
	t.to = to.end;
	t.len = MIB;
	t.route = *route;
	t.flags = direct ? DECANT_DIRECT : 0;
	t.until = DECANT_UNTIL_SENT;
	is_int(decant_move(d, &t, NULL), MIB, "%s", decant_strerror(d));
	if (direct)
		is_int(resident(from.fd, 2 * MIB), 0, "and still is");
	else
		ok(resident(from.fd, 2 * MIB) > 0, "another route warms it: it is seen");
	sink_finish(&to, MIB);
	ok(to.got == MIB && pattern_clean(&to.report), "right: %s", pattern_text(&to.report));
	sink_close(&to);
	source_close(&from);
	decant_close(d);
}

/* The source's name is gone and its directory too: no place for the clone. */
static void clone_nowhere(void)
{
	struct decant *d = track_engine(DECANT_BACKEND_AUTO, NULL);
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct decant_event end;
	char dir[256], path[300];
	struct sink to;
	int fd;

	snprintf(dir, sizeof(dir), "%s/gone", fs_dir(FS_XFS));
	snprintf(path, sizeof(path), "%s/file", dir);
	kit_must(mkdir(dir, 0700));
	fd = kit_must(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	pattern_write(fd, 0, 65536, PATTERN_OLD);
	kit_must(unlink(path));
	kit_must(rmdir(dir));
	sink_open(&to, SINK_LOOPBACK, FS_XFS, 0, 65536, NULL);
	t.from = decant_file(fd, 0);
	t.to = to.end;
	t.route = "clone-sendfile";
	is_int(decant_move(d, &t, &end), -EOPNOTSUPP, "it says so");
	ok(strstr(end.message, "clone: no file without a name"), "%s", end.message);
	is_int(end.bytes, 0, "nothing was moved");
	t.route = NULL;
	is_int(decant_move(d, &t, &end), 65536, "another route goes: %s", end.message);
	sink_close(&to);
	close(fd);
	decant_close(d);
}

/* ------------------------------------------------------------ the error queue */

static int option(int fd, int name)
{
	int on = -1;
	socklen_t len = sizeof(on);

	kit_must(getsockopt(fd, SOL_SOCKET, name, &on, &len));
	return on;
}

/* One notification from the socket's error queue, within a second. */
static bool notified(int fd)
{
	char control[256];
	struct msghdr msg = { .msg_control = control, .msg_controllen = sizeof(control) };
	struct pollfd pfd = { .fd = fd };

	(void)poll(&pfd, 1, 1000);
	return recvmsg(fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0;
}

/* The caller uses MSG_ZEROCOPY himself: his notifications stay his. */
static void error_queue(const void *p)
{
	bool theirs = *(const bool *)p;
	struct decant *d = track_engine(DECANT_BACKEND_AUTO, NULL);
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct pair_options options = { .holds = 4 * MIB };
	struct decant_event end;
	struct sink to;
	int on = 1;
	char *buf = calloc(1, 65536);

	sink_open(&to, SINK_LOOPBACK, FS_TMPFS, 0, MIB, &options);
	if (theirs) {
		kit_must(setsockopt(to.pair.out, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)));
		is_int(send(to.pair.out, buf, 65536, MSG_ZEROCOPY), 65536, "sent by ourselves");
	}
	pattern_fill(buf, 65536, 0, PATTERN_OLD);
	t.from = decant_memory(buf, 65536);
	t.to = to.end;
	t.route = "msgzc";
	t.until = DECANT_UNTIL_SENT;
	is_int(decant_move(d, &t, &end), 65536, "%s", end.message);
	is_int(end.cpu_copies, 65536, "one copy");
	is_int(option(to.pair.out, SO_ZEROCOPY), theirs, "SO_ZEROCOPY is as it was");
	is_int(!!(end.flags & DECANT_COPIED), !theirs, "zero copies were tried only if they could");
	is_int(notified(to.pair.out), theirs, "notifications in the queue");
	free(buf);
	sink_close(&to);
	decant_close(d);
}

/* Ended before its notifications came: the next one must not take them for its own. */
static void error_queue_left(void)
{
	struct decant *d = track_engine(DECANT_BACKEND_AUTO, NULL);
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct decant_event end;
	struct pair_options options = { .holds = 16 * MIB };
	struct source from;
	struct track tr;
	struct sink to;

	source_open(&from, SOURCE_MEMORY, FS_TMPFS, 0, 4 * MIB);
	sink_open(&to, SINK_SLOW, FS_TMPFS, 0, 4 * MIB, &options);
	t.from = from.end;
	t.to = to.end;
	t.route = "msgzc";
	ok(track_submit(d, &t, &tr) > 0, "%s", decant_strerror(d));
	kit_sleep_ms(100);
	is_int(decant_cancel(d, tr.id), 0, "cancelled");
	ok(track_until(d, &tr, DECANT_ENDED, 5000), "ended");
	is_int(tr.last[DECANT_ENDED].error, -ECANCELED, "so");
	ok(!tr.seen[DECANT_SNAPSHOTTED], "and never SNAPSHOTTED");
	is_int(option(to.pair.out, SO_ZEROCOPY), 1, "SO_ZEROCOPY stays as a sign");
	t.from = decant_memory(from.addr, 65536);
	t.until = DECANT_UNTIL_SENT;
	is_int(decant_move(d, &t, &end), 65536, "the next: %s", end.message);
	is_int(end.flags & DECANT_COPIED, 0, "is sent plainly");
	is_int(end.cpu_copies, 65536, "with one copy");
	sink_close(&to);
	source_close(&from);
	decant_close(d);
}

/* No pins allowed: one copy, all the same, and the kernel is not blamed. */
static void no_pins(const void *p)
{
	const char *const *route = p;
	struct decant_options options = DECANT_OPTIONS_INIT;
	struct one o = { .fs = FS_EXT4, .to = SINK_LOOPBACK, .len = 3 * MIB + 1, .offset = 5 };
	struct row row = { .route = *route, .copies = 1,
			   .from = strncmp(*route, "map", 3) ? SOURCE_MEMORY : SOURCE_FILE };

	options.pinned_max_bytes = 4096;
	options.cost_file = "";
	need(decant_open(&o.d, &options) == 0, "decant_open");
	o.row = &row;
	one_run(&o);
	decant_close(o.d);
}

static void run_rows(void)
{
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];

		for (int fs = 0; fs < FS_KINDS; fs++)
			for (int to = 0; to <= SINK_UNIX; to++)
				for (int b = URING; b <= THREADS; b++) {
					struct arg a = { r, (enum fs_kind)fs, (enum sink_kind)to,
							 (enum decant_backend)b };
					bool first = !(r->fs & ((1u << fs) - 1));

					if (!(r->fs & 1u << fs) || !(r->to & 1u << to) ||
					    !(r->backends & 1u << b))
						continue;
					/* Every file system once; all else on one. */
					if (!first && to != SINK_LOOPBACK && !kit_full())
						continue;
					tap_case_arg(matrix, &a, "%s, %s on %s to %s, %s", r->route,
						     source_names[r->from], fs_names[fs],
						     sink_names[to], track_backends[b]);
					if (!first && !kit_full())
						continue;
					tap_case_arg(slow, &a, "%s, %s to %s, %s: slow reader",
						     r->route, source_names[r->from],
						     sink_names[to], track_backends[b]);
					if (!is_stream(r->from) && (to != SINK_VETH || kit_full()))
						tap_case_arg(large, &a, "%s, %s to %s, %s: 64 MiB",
							     r->route, source_names[r->from],
							     sink_names[to], track_backends[b]);
				}
	}
}

int main(void)
{
	static const char *const frozen[] = { "sendfile", "splice" };
	static const char *const caches[] = { "direct-zc", "direct-splice", "map-send" };
	static const char *const pinning[] = { "map-zc", "map-msgzc", "zc", "msgzc" };
	static const bool queues[] = { false, true };

	kit_start(600);
	tap_case_seconds = 60;
	fs_start();
	for (int fs = 0; fs < FS_KINDS; fs++)
		(void)fs_dir((enum fs_kind)fs);
	for (unsigned i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		tap_case_arg(refuse, &refusals[i], "%s, %s to %s%s: %s", refusals[i].route,
			     source_names[refusals[i].from], sink_names[refusals[i].to],
			     refusals[i].blocking ? " (blocking)" : "",
			     refusals[i].why ? refusals[i].why : "fits");
	for (unsigned i = 0; i < 2; i++)
		tap_case_arg(sealed, &frozen[i], "%s from a sealed memfd is stable", frozen[i]);
	for (unsigned i = 0; i < 3; i++)
		tap_case_arg(past_cache, &caches[i], "%s and the page cache", caches[i]);
	tap_case("clone-sendfile without a place for the clone", clone_nowhere);
	for (unsigned i = 0; i < 2; i++)
		tap_case_arg(error_queue, &queues[i], "msgzc where the error queue is %s",
			     queues[i] ? "the caller's" : "free");
	tap_case("msgzc after one that left notifications behind", error_queue_left);
	for (unsigned i = 0; i < 4; i++)
		tap_case_arg(no_pins, &pinning[i], "%s without any pins", pinning[i]);
	run_rows();
	return done();
}
