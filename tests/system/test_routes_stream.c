/* SPDX-License-Identifier: MIT */
/*
 * Every route that has a pipe, a socket, memory or null at one of its ends and
 * does not send to a socket, by its name: the bytes are right, for lengths that
 * are known and for those that end with the source.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/kit.h"
#include "lib/leak.h"
#include "lib/net.h"
#include "lib/reader.h"
#include "lib/sink.h"
#include "lib/source.h"
#include "lib/track.h"
#include "tap.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define WAIT_MS 20000

static const uint64_t sizes[] = { 1, 511, 4096, 4097, 100003, MIB, 9 * MIB + 517 };

enum from { FROM_FILE, FROM_MEMORY, FROM_PIPE, FROM_TCP, FROM_UNIX, FROM_PROCESS };
enum to { TO_FILE, TO_PIPE, TO_MEMORY, TO_NULL };

static const char *const from_names[] = { "file", "memory", "pipe", "tcp", "unix", "process" };
static const char *const to_names[] = { "file", "pipe", "memory", "null" };

static const struct row {
	enum from from;
	enum to to;
	const char *route;
	uint32_t guarantee, flags, checksum;
} rows[] = {
	{ FROM_FILE, TO_PIPE, "map-write", DECANT_STABLE, 0, 0 },
	{ FROM_FILE, TO_PIPE, "direct-splice", DECANT_STABLE, 0, 0 },
	{ FROM_FILE, TO_PIPE, "direct-splice", DECANT_STABLE, DECANT_DIRECT, 0 },
	{ FROM_FILE, TO_PIPE, "splice", DECANT_LIVE, 0, 0 },
	{ FROM_FILE, TO_PIPE, "read-write", DECANT_STABLE, 0, DECANT_CHECKSUM_XXH3 },
	{ FROM_MEMORY, TO_PIPE, "write", DECANT_STABLE, 0, 0 },
	{ FROM_MEMORY, TO_PIPE, "write", DECANT_STABLE, 0, DECANT_CHECKSUM_XXH3 },
	{ FROM_MEMORY, TO_PIPE, "vmsplice", DECANT_LIVE, 0, 0 },
	{ FROM_PIPE, TO_PIPE, "splice", DECANT_LIVE, 0, 0 },
	{ FROM_PIPE, TO_PIPE, "read-write", DECANT_STABLE, 0, 0 },
	{ FROM_PIPE, TO_FILE, "splice", DECANT_STABLE, 0, 0 },
	{ FROM_PIPE, TO_FILE, "recv-direct", DECANT_STABLE, 0, DECANT_CHECKSUM_XXH3 },
	{ FROM_PIPE, TO_FILE, "read-write", DECANT_STABLE, 0, 0 },
	{ FROM_TCP, TO_PIPE, "splice", DECANT_LIVE, 0, 0 },
	{ FROM_TCP, TO_PIPE, "read-write", DECANT_STABLE, 0, 0 },
	{ FROM_TCP, TO_FILE, "recv-splice", DECANT_STABLE, 0, 0 },
	{ FROM_TCP, TO_FILE, "recv-direct", DECANT_STABLE, DECANT_DIRECT, 0 },
	{ FROM_TCP, TO_FILE, "read-write", DECANT_STABLE, 0, 0 },
	{ FROM_UNIX, TO_PIPE, "splice", DECANT_LIVE, 0, 0 },
	{ FROM_UNIX, TO_FILE, "recv-splice", DECANT_STABLE, 0, 0 },
	{ FROM_UNIX, TO_FILE, "recv-direct", DECANT_STABLE, 0, 0 },
	{ FROM_PROCESS, TO_FILE, "recv-direct", DECANT_STABLE, 0, 0 },
	{ FROM_PROCESS, TO_FILE, "read-write", DECANT_STABLE, 0, 0 },
	{ FROM_PROCESS, TO_PIPE, "read-write", DECANT_STABLE, 0, 0 },
	{ FROM_FILE, TO_MEMORY, "read-memory", DECANT_STABLE, 0, 0 },
	{ FROM_FILE, TO_MEMORY, "read-memory", DECANT_STABLE, 0, DECANT_CHECKSUM_XXH3 },
	{ FROM_PIPE, TO_MEMORY, "read-memory", DECANT_STABLE, 0, 0 },
	{ FROM_TCP, TO_MEMORY, "read-memory", DECANT_STABLE, 0, 0 },
	{ FROM_PROCESS, TO_MEMORY, "read-memory", DECANT_STABLE, 0, 0 },
	{ FROM_MEMORY, TO_MEMORY, "read-memory", DECANT_STABLE, 0, 0 },
	{ FROM_FILE, TO_NULL, "null", DECANT_STABLE, 0, 0 },
	{ FROM_FILE, TO_NULL, "read-write", DECANT_STABLE, 0, DECANT_CHECKSUM_XXH3 },
	{ FROM_MEMORY, TO_NULL, "null", DECANT_STABLE, 0, 0 },
	{ FROM_PIPE, TO_NULL, "null", DECANT_STABLE, 0, 0 },
	{ FROM_TCP, TO_NULL, "null", DECANT_STABLE, 0, 0 },
	{ FROM_UNIX, TO_NULL, "read-write", DECANT_STABLE, 0, 0 },
};

/* Writes a stream of the pattern from a thread, in odd pieces. */
struct writer {
	struct pair pair;
	uint64_t len;
	pthread_t thread;
};

static void *writer_main(void *arg)
{
	struct writer *w = arg;
	unsigned char *buf = malloc(70001);
	uint64_t at = 0;

	while (at < w->len) {
		uint64_t n = w->len - at < 70001 ? w->len - at : 70001;
		ssize_t done;

		pattern_fill(buf, n, at, PATTERN_OLD);
		done = write(w->pair.out, buf, n);
		if (done <= 0)
			break;
		at += (uint64_t)done;
	}
	close(w->pair.out);
	w->pair.out = -1;
	free(buf);
	return NULL;
}

static void writer_start(struct writer *w, enum from from, uint64_t len)
{
	static const enum pair_kind kinds[] = { [FROM_PIPE] = PAIR_PIPE, [FROM_TCP] = PAIR_LOOPBACK,
						[FROM_UNIX] = PAIR_UNIX };
	struct pair_options o = { .blocking = true };

	pair_open(&w->pair, kinds[from], &o);
	w->len = len;
	kit_must(-pthread_create(&w->thread, NULL, writer_main, w));
}

struct one {
	const struct row *row;
	uint64_t len, offset; /* offset: of a file source or sink */
	bool to_end;
	struct decant *d;
	/* its own */
	struct writer writer;
	struct source source;
	struct reader reader;
	struct pair sink;
	unsigned char *memory;
	int file;
};

static bool is_stream(enum from from)
{
	return from >= FROM_PIPE && from <= FROM_UNIX;
}

static void one_open(struct one *o, struct decant_transfer *t)
{
	static const enum source_kind kinds[] = { [FROM_FILE] = SOURCE_FILE,
						  [FROM_MEMORY] = SOURCE_MEMORY,
						  [FROM_PROCESS] = SOURCE_PROCESS };
	uint64_t at = is_stream(o->row->from) ? 0 : o->offset;

	/* The child of a process source first: it must not inherit the pipes. */
	if (!is_stream(o->row->from)) {
		source_open(&o->source, kinds[o->row->from], FS_EXT4, at, o->len);
		t->from = o->source.end;
	}
	o->file = -1;
	if (o->row->to == TO_FILE) {
		o->file = fs_file(FS_EXT4, NULL);
		t->to = decant_file(o->file, o->offset);
	} else if (o->row->to == TO_MEMORY) {
		o->memory = malloc(o->len + 1);
		t->to = decant_memory(o->memory, o->len);
	} else if (o->row->to == TO_PIPE) {
		pair_open(&o->sink, PAIR_PIPE, NULL);
		t->to = decant_pipe(o->sink.out);
		o->reader = (struct reader){ .fd = o->sink.in, .offset = at, .gen = PATTERN_OLD,
					     .chunk = 30011 };
		reader_start(&o->reader);
		reader_go(&o->reader);
	} else {
		t->to = decant_null();
	}
	if (is_stream(o->row->from)) {
		writer_start(&o->writer, o->row->from, o->len);
		t->from = o->row->from == FROM_PIPE ? decant_pipe(o->writer.pair.in) :
						      decant_socket(o->writer.pair.in);
	}
}

static void one_check(struct one *o)
{
	struct pattern_report r = { 0 };
	uint64_t at = is_stream(o->row->from) ? 0 : o->offset;

	if (is_stream(o->row->from)) {
		pthread_join(o->writer.thread, NULL);
		pair_close(&o->writer.pair);
	} else {
		source_close(&o->source);
	}
	if (o->row->to == TO_FILE) {
		is_int(pattern_check_file(&r, o->file, o->offset, o->len, at, PATTERN_OLD),
		       o->len, "all is in the file");
		close(o->file);
	} else if (o->row->to == TO_MEMORY) {
		pattern_check(&r, o->memory, o->len, at, PATTERN_OLD);
		free(o->memory);
	} else if (o->row->to == TO_PIPE) {
		close(o->sink.out);
		reader_join(&o->reader);
		is_int(o->reader.bytes, o->len, "all was read");
		r = o->reader.report;
		close(o->sink.in);
	}
	ok(pattern_clean(&r), "and right: %s", pattern_text(&r));
}

/*
 * Less than a block at each end may go through the page cache; what a full sink
 * did not take is kept, where the source cannot be read again.
 */
static uint64_t one_copies(const struct one *o, unsigned planned)
{
	bool kept = is_stream(o->row->from) && strcmp(o->row->route, "read-write") == 0;

	return (planned + kept) * o->len + 2 * (o->len < 8192 ? o->len : 8192);
}

static void one_run(struct one *o)
{
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct decant_plan plan = DECANT_PLAN_INIT;
	struct track tr;

	t.len = o->to_end ? DECANT_TO_END : o->len;
	t.route = o->row->route;
	t.guarantee = o->row->guarantee;
	t.flags = o->row->flags;
	t.checksum = o->row->checksum;
	one_open(o, &t);
	is_int(decant_plan(o->d, &t, &plan), 0, "plan: %s", decant_strerror(o->d));
	if (ok(track_submit(o->d, &t, &tr) > 0, "submit: %s", decant_strerror(o->d))) {
		const struct decant_event *e = &tr.last[DECANT_ENDED];

		track_until(o->d, &tr, DECANT_ENDED, WAIT_MS);
		is_str(track_verdict(&tr, 0), "", "how it ended");
		is_int(e->bytes, o->len, "bytes");
		is_str(e->route, o->row->route, "by the route that was asked for");
		ok(e->cpu_copies <= one_copies(o, plan.copies), "%llu bytes copied, planned was "
		   "%u times", (unsigned long long)e->cpu_copies, plan.copies);
		is_int(tr.last[DECANT_SNAPSHOTTED].flags & DECANT_NOT_CERTAIN,
		       o->row->guarantee == DECANT_LIVE ? DECANT_NOT_CERTAIN : 0,
		       "certain or not");
	}
	one_check(o);
}

struct arg {
	const struct row *row;
	enum decant_backend backend;
};

static void row_case(const void *p)
{
	static const uint64_t offsets[] = { 0, 4096, 1000 };
	const struct arg *a = p;
	bool file = a->row->from == FROM_FILE || a->row->to == TO_FILE;
	struct leak before;
	struct decant *d;
	struct writer writer;

	/* The kit's namespace stays open, and so does the sanitizer's thread. */
	writer_start(&writer, FROM_TCP, 1);
	pthread_join(writer.thread, NULL);
	pair_close(&writer.pair);
	leak_take(&before);
	d = track_engine(a->backend, NULL);
	for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
		for (unsigned f = 0; f < (file ? 3 : 1); f++)
			for (int end = 0; end < (a->row->from == FROM_PROCESS ? 1 : 2); end++) {
				struct one o = { .row = a->row, .len = sizes[s],
						 .offset = offsets[f], .to_end = end, .d = d };
				int failed = tap_shared->case_failed;

				one_run(&o);
				if (tap_shared->case_failed != failed)
					diag("in: %llu bytes, offset %llu%s",
					     (unsigned long long)o.len,
					     (unsigned long long)o.offset,
					     end ? ", to the end" : "");
			}
	decant_close(d);
	ok(!leak_since(&before, 1000), "closed: %s", leak_since(&before, 0));
}

int main(void)
{
	kit_start(600);
	tap_case_seconds = 60;
	fs_start();
	(void)fs_dir(FS_EXT4);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (int b = DECANT_BACKEND_URING; b <= DECANT_BACKEND_THREADS; b++) {
			struct arg a = { &rows[i], (enum decant_backend)b };

			tap_case_arg(row_case, &a, "%s -> %s by %s%s%s, %s",
				     from_names[rows[i].from], to_names[rows[i].to], rows[i].route,
				     rows[i].flags & DECANT_DIRECT ? ", direct" : "",
				     rows[i].checksum ? ", checksum" : "", track_backends[b]);
		}
	return done();
}
