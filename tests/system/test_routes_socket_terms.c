/* SPDX-License-Identifier: MIT */
/*
 * On which terms the routes to a socket are taken: each refusal; sealed sources,
 * the page cache, clones without a place, a socket's error queue.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fs.h"
#include "lib/kit.h"
#include "lib/sink.h"
#include "lib/source.h"
#include "lib/track.h"
#include "tap.h"

#define MIB (UINT64_C(1) << 20)

/* ----------------------------------------------------------------- refusals */

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

/* ----------------------------------------------- what is particular to some */

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

/* ---------------------------------------------------------- the error queue */

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

int main(void)
{
	static const char *const frozen[] = { "sendfile", "splice" };
	static const char *const caches[] = { "direct-zc", "direct-splice", "map-send" };
	static const bool queues[] = { false, true };

	kit_start(600);
	tap_case_seconds = 60;
	fs_start();
	/* Before the cases, so that they share them. */
	(void)fs_dir(FS_TMPFS);
	(void)fs_dir(FS_EXT4);
	(void)fs_dir(FS_XFS);
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
	return done();
}
