/* SPDX-License-Identifier: MIT */
/* The messages of CRIU's page-server protocol: real bytes, both headers, and what is refused. */
#include "wire/frame.h"

#include "lib/kit.h"
#include "tap.h"

#define PID(n) ((uint64_t)(n) << 8 | 1)
#define SHM(n) ((uint64_t)(n) << 8 | 2)

/* What CRIU's clients send: ADD_F, PRESENT, 2 pages at 0x10000 of process 7. */
static const unsigned char bytes_24[] = {
	0x06, 0x00, 0x04, 0x00, 0x02, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x01, 0x07, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
};
static const unsigned char bytes_32[] = {
	0x06, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x01, 0x07, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
};

static void test_bytes(void)
{
	static const struct { unsigned size; const unsigned char *data; } rows[] = {
		{ FRAME_OLD, bytes_24 }, { FRAME_NEW, bytes_32 },
	};

	for (unsigned i = 0; i < 2; i++) {
		unsigned char again[FRAME_MAX], dirty[FRAME_MAX];
		struct frame f = { .command = 1 };

		frame_get(&f, rows[i].size, rows[i].data);
		ok(f.command == FRAME_ADD_F && f.flags == CRIU_PRESENT && f.nr_pages == 2 &&
		   f.vaddr == 0x10000 && f.dst_id == PID(7), "%u bytes are read", rows[i].size);
		is_int(frame_put(&f, rows[i].size, again), rows[i].size, "  and written");
		ok(memcmp(again, rows[i].data, rows[i].size) == 0, "  to the same bytes");
		/* CRIU does not set what is between command and nr_pages. */
		memcpy(dirty, rows[i].data, rows[i].size);
		if (rows[i].size == FRAME_NEW)
			memset(dirty + 4, 0xa5, 4);
		frame_get(&f, rows[i].size, dirty);
		ok(f.nr_pages == 2 && f.command == FRAME_ADD_F, "  padding does not matter");
	}
}

/* The first message of a client, by every kind of pagemap. */
static void test_size(void)
{
	static const uint16_t commands[] = { FRAME_OPEN, FRAME_OPEN2, FRAME_PARENT };
	static const uint64_t ids[] = {
		PID(1), PID(7), PID(255), PID(256), PID(4194304), PID(INT32_MAX), SHM(1),
		SHM(0xffffffff), SHM(FRAME_ID_MAX), 10 | 7 << 8,
	};
	unsigned wrong = 0;

	for (unsigned c = 0; c < 3; c++) {
		for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
			struct frame f = { .command = commands[c], .dst_id = ids[i] };
			unsigned char data[FRAME_MAX];

			wrong += frame_size((frame_put(&f, FRAME_OLD, data), data)) != FRAME_OLD;
			wrong += frame_size((frame_put(&f, FRAME_NEW, data), data)) != FRAME_NEW;
			memset(data + 4, 0xff, 4);
			wrong += frame_size(data) != FRAME_NEW;
		}
	}
	is_int(wrong, 0, "the first message tells how long a header is");
	/* The control: any later one does not, which is why only the first is asked. */
	is_int(frame_size(bytes_32), FRAME_OLD, "control: a later one would not");
}

struct row {
	const char *what;
	struct frame f;
	int error;               /* 0: taken, as below */
	enum message_kind kind;
	bool answer;
	enum dir_kind of;
	uint64_t id;
	uint32_t flags;
};

static const struct row rows[] = {
	{ "OPEN", { FRAME_OPEN, 0, 0, 0, PID(7) }, 0, MESSAGE_OPEN, false, DIR_PROCESS, 7, 0 },
	{ "OPEN2", { FRAME_OPEN2, 0, 0, 0, PID(7) }, 0, MESSAGE_OPEN, true, DIR_PROCESS, 7, 0 },
	{ "OPEN2 of shared memory", { FRAME_OPEN2, 0, 0, 0, SHM(99) }, 0, MESSAGE_OPEN, true,
	  DIR_SHMEM, 99, 0 },
	{ "PARENT", { FRAME_PARENT, 0, 0, 0, PID(7) }, 0, MESSAGE_PARENT, true, DIR_PROCESS, 7, 0 },
	{ "the oldest kinds", { FRAME_OPEN2, 0, 0, 0, 10 | 7 << 8 }, 0, MESSAGE_OPEN, true,
	  DIR_PROCESS, 7, 0 },
	{ "  17", { FRAME_OPEN2, 0, 0, 0, 17 | 7 << 8 }, 0, MESSAGE_OPEN, true, DIR_PROCESS, 7,
	  0 },
	{ "  28", { FRAME_OPEN2, 0, 0, 0, 28 | 7 << 8 }, 0, MESSAGE_OPEN, true, DIR_SHMEM, 7, 0 },
	{ "  34", { FRAME_OPEN2, 0, 0, 0, 34 | 7 << 8 }, 0, MESSAGE_OPEN, true, DIR_SHMEM, 7, 0 },
	{ "ADD", { FRAME_ADD, 0, 1, 0x1000, PID(7) }, 0, MESSAGE_ENTRY, false, DIR_PROCESS, 7,
	  CRIU_PRESENT },
	{ "HOLE", { FRAME_HOLE, 0, 1, 0x1000, PID(7) }, 0, MESSAGE_ENTRY, false, DIR_PROCESS, 7,
	  CRIU_PARENT },
	{ "ADD_F PRESENT", { FRAME_ADD_F, 4, 1, 0x1000, PID(7) }, 0, MESSAGE_ENTRY, false,
	  DIR_PROCESS, 7, CRIU_PRESENT },
	{ "ADD_F PRESENT LAZY", { FRAME_ADD_F, 6, 1, 0x1000, PID(7) }, 0, MESSAGE_ENTRY, false,
	  DIR_PROCESS, 7, CRIU_PRESENT | CRIU_LAZY },
	{ "ADD_F PARENT", { FRAME_ADD_F, 1, 1, 0x1000, PID(7) }, 0, MESSAGE_ENTRY, false,
	  DIR_PROCESS, 7, CRIU_PARENT },
	{ "ADD_F LAZY", { FRAME_ADD_F, 2, 1, 0x1000, PID(7) }, 0, MESSAGE_ENTRY, false,
	  DIR_PROCESS, 7, CRIU_LAZY },
	{ "the last page", { FRAME_ADD_F, 4, 1, CRIU_ADDRESS_MAX - CRIU_PAGE, PID(7) }, 0,
	  MESSAGE_ENTRY, false, DIR_PROCESS, 7, CRIU_PRESENT },
	{ "CLOSE", { FRAME_CLOSE, 0, 0, 0, 0 }, 0, MESSAGE_CLOSE, false, DIR_PROCESS, 0, 0 },
	{ "FORCE_CLOSE", { FRAME_FORCE_CLOSE, 0, 0, 0, 5 }, 0, MESSAGE_CLOSE, false, DIR_PROCESS, 0,
	  0 },
	/* Refused. */
	{ "command 0", { 0, 0, 0, 0, PID(7) }, -EPROTO, 0, 0, 0, 0, 0 },
	{ "command 9", { 9, 0, 0, 0, PID(7) }, -EPROTO, 0, 0, 0, 0, 0 },
	{ "GET", { FRAME_GET, 0, 1, 0x1000, 7 }, -ENOTSUP, 0, 0, 0, 0, 0 },
	{ "compressed", { FRAME_ADD_COMPRESSED, 4, 1, 0x1000, PID(7) }, -ENOTSUP, 0, 0, 0, 0, 0 },
	{ "OPEN2 with flags", { FRAME_OPEN2, 1, 0, 0, PID(7) }, -EPROTO, 0, 0, 0, 0, 0 },
	{ "CLOSE with flags", { FRAME_CLOSE, 4, 0, 0, 0 }, -EPROTO, 0, 0, 0, 0, 0 },
	{ "no process", { FRAME_OPEN2, 0, 0, 0, PID(0) }, -EPROTO, 0, 0, 0, 0, 0 },
	{ "a process of 2^31", { FRAME_OPEN2, 0, 0, 0, PID(1ull << 31) }, -EPROTO, 0, 0, 0, 0, 0 },
	{ "a process of 2^56", { FRAME_OPEN2, 0, 0, 0, ~0ull << 8 | 1 }, -EPROTO, 0, 0, 0, 0, 0 },
	{ "kind 0", { FRAME_OPEN2, 0, 0, 0, 7 << 8 }, -EPROTO, 0, 0, 0, 0, 0 },
	{ "kind 3", { FRAME_OPEN2, 0, 0, 0, 7 << 8 | 3 }, -EPROTO, 0, 0, 0, 0, 0 },
	{ "kind 255", { FRAME_OPEN2, 0, 0, 0, 7 << 8 | 255 }, -EPROTO, 0, 0, 0, 0, 0 },
	{ "no flags", { FRAME_ADD_F, 0, 1, 0x1000, PID(7) }, -EPROTO, 0, 0, 0, 0, 0 },
	{ "flags 5", { FRAME_ADD_F, 5, 1, 0x1000, PID(7) }, -EPROTO, 0, 0, 0, 0, 0 },
	{ "flags 8", { FRAME_ADD_F, 8, 1, 0x1000, PID(7) }, -EPROTO, 0, 0, 0, 0, 0 },
	{ "flags 0xffff", { FRAME_ADD_F, 0xffff, 1, 0x1000, PID(7) }, -EPROTO, 0, 0, 0, 0, 0 },
	{ "no pages", { FRAME_ADD_F, 4, 0, 0x1000, PID(7) }, -EPROTO, 0, 0, 0, 0, 0 },
	{ "half a page", { FRAME_ADD_F, 4, 1, 0x1800, PID(7) }, -EPROTO, 0, 0, 0, 0, 0 },
	{ "2^52 pages", { FRAME_ADD_F, 4, 1ull << 52, 0, PID(7) }, -EPROTO, 0, 0, 0, 0, 0 },
	{ "2^64 - 1 pages", { FRAME_ADD_F, 4, ~0ull, 0, PID(7) }, -EPROTO, 0, 0, 0, 0, 0 },
	{ "past the end", { FRAME_ADD_F, 4, 2, CRIU_ADDRESS_MAX - CRIU_PAGE, PID(7) }, -EPROTO, 0,
	  0, 0, 0, 0 },
	{ "around the end", { FRAME_ADD_F, 4, 1, 0xfffffffffffff000, PID(7) }, -EPROTO, 0, 0, 0, 0,
	  0 },
	{ "pages of nobody", { FRAME_ADD_F, 4, 1, 0x1000, 7 }, -EPROTO, 0, 0, 0, 0, 0 },
};

static void test_messages(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *want = &rows[i];
		struct message m = { .kind = MESSAGE_CLOSE, .id = 12345 };
		struct err e = { "" };
		int r = message_get(&m, &want->f, &e);

		if (want->error) {
			ok(r == want->error && e.text[0] && m.id == 12345, "%s: refused: %s",
			   want->what, e.text);
			continue;
		}
		ok(r == 0 && m.kind == want->kind && m.answer == want->answer, "%s: taken",
		   want->what);
		if (m.kind == MESSAGE_CLOSE)
			continue;
		ok(m.of == want->of && m.id == want->id, "  for the right pagemap");
		if (m.kind == MESSAGE_ENTRY)
			ok(m.entry.flags == want->flags && m.entry.vaddr == want->f.vaddr &&
			   m.entry.nr_pages == want->f.nr_pages, "  with the right pages");
	}
	is_int(frame_dst(DIR_PROCESS, 7), PID(7), "the number of a process");
	is_int((long long)frame_dst(DIR_SHMEM, 99), SHM(99), "the number of shared memory");
}

int main(void)
{
	kit_start(30);
	test_bytes();
	test_size();
	test_messages();
	return done();
}
