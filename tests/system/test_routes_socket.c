/* SPDX-License-Identifier: MIT */
/*
 * Every route to a socket, by its name: sizes and offsets that are no whole
 * pages, from every source it takes, to TCP and AF_UNIX, fast and slow readers;
 * and that what it says of its CPU copies is what it did.
 */
#include <string.h>
#include <sys/socket.h>

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
				for (int b = DECANT_BACKEND_URING; b <= DECANT_BACKEND_THREADS;
				     b++) {
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
	static const char *const pinning[] = { "map-zc", "map-msgzc", "zc", "msgzc" };

	kit_start(600);
	tap_case_seconds = 60;
	fs_start();
	for (int fs = 0; fs < FS_KINDS; fs++)
		(void)fs_dir((enum fs_kind)fs);
	for (unsigned i = 0; i < 4; i++)
		tap_case_arg(no_pins, &pinning[i], "%s without any pins", pinning[i]);
	run_rows();
	return done();
}
