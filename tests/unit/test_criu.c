/* SPDX-License-Identifier: MIT */
/* Records of CRIU's images: real bytes, both versions, and what is refused. */
#include "image/criu.h"

#include "lib/kit.h"
#include "tap.h"

/* ---------------------------------------------------------- bytes of CRIU */

/* What CRIU 4.2's page server wrote (but for nr_pages in both places). */
static const unsigned char pagemap_42[] = {
	0x19, 0x43, 0x56, 0x54, 0x25, 0x40, 0x08, 0x56,
	4, 0, 0, 0, 0x08, 0x81, 0x80, 0x04,
	10, 0, 0, 0, 0x08, 0x80, 0x80, 0x04, 0x10, 0x00, 0x20, 0x04, 0x28, 0x02,
	10, 0, 0, 0, 0x08, 0x80, 0x80, 0x08, 0x10, 0x00, 0x20, 0x06, 0x28, 0x01,
	10, 0, 0, 0, 0x08, 0x80, 0x80, 0x0c, 0x10, 0x00, 0x20, 0x01, 0x28, 0x03,
};

static const struct criu_entry entries_42[] = {
	{ 0x10000, 2, CRIU_PRESENT },
	{ 0x20000, 1, CRIU_PRESENT | CRIU_LAZY },
	{ 0x30000, 3, CRIU_PARENT },
};

static void test_real(void)
{
	size_t at = 0, len = sizeof(pagemap_42), body_len;
	struct err e = { "" };
	const void *body;
	uint32_t id = 0;
	int64_t n;

	at += (size_t)criu_get_magic(CRIU_PAGEMAP, pagemap_42, len, &e);
	is_int(at, 8, "the magics of a pagemap");
	n = criu_get_record(pagemap_42 + at, len - at, &body, &body_len, &e);
	is_int(n, 8, "its first record");
	is_int(criu_get_head(body, body_len, &id, &e), 0, "is a head");
	is_int(id, 65537, "with the number of its pages");
	at += (size_t)n;
	for (size_t i = 0; i < 3; i++) {
		struct criu_entry got = { 0 };

		n = criu_get_record(pagemap_42 + at, len - at, &body, &body_len, &e);
		is_int(n, 14, "entry %zu", i);
		is_int(criu_get_entry(body, body_len, &got, &e), 0, "  is read");
		ok(got.vaddr == entries_42[i].vaddr && got.nr_pages == entries_42[i].nr_pages &&
		   got.flags == entries_42[i].flags, "  and is right");
		at += (size_t)n;
	}
	is_int(at, len, "and that was all");
}

static void test_written(void)
{
	unsigned char want[sizeof(pagemap_42)];
	struct buf b = BUF_INIT;

	/* Both counts, so that older ones find theirs. */
	memcpy(want, pagemap_42, sizeof(want));
	want[25] = 2;
	want[39] = 1;
	want[53] = 3;
	criu_put_magic(&b, CRIU_PAGEMAP);
	criu_put_head(&b, 65537);
	for (size_t i = 0; i < 3; i++)
		criu_put_entry(&b, &entries_42[i]);
	is_int(b.len, sizeof(want), "as many bytes as CRIU's");
	is_mem(b.data, want, sizeof(want), "and the same, with the count in both places");
	buf_free(&b);
}

/* --------------------------------------------------------- single entries */

struct entry_case {
	const char *name;
	const char *bytes;
	size_t len;
	int error;
	struct criu_entry want;
};

#define BYTES(s) s, sizeof(s) - 1

static const struct entry_case entry_cases[] = {
	{ "CRIU 3.17: the old count only", BYTES("\x08\x80\x80\x04\x10\x02\x20\x04"), 0,
	  { 0x10000, 2, CRIU_PRESENT } },
	{ "without flags it is present", BYTES("\x08\x80\x80\x04\x10\x02"), 0,
	  { 0x10000, 2, CRIU_PRESENT } },
	{ "in_parent of old", BYTES("\x08\x80\x80\x04\x10\x02\x18\x01"), 0,
	  { 0x10000, 2, CRIU_PARENT } },
	{ "in_parent that is false", BYTES("\x08\x80\x80\x04\x10\x02\x18\x00"), 0,
	  { 0x10000, 2, CRIU_PRESENT } },
	{ "the new count wins", BYTES("\x08\x80\x80\x04\x10\x09\x20\x04\x28\x02"), 0,
	  { 0x10000, 2, CRIU_PRESENT } },
	{ "a field that nobody knows", BYTES("\x08\x80\x80\x04\x10\x02\x20\x04\x7a\x03" "abc"), 0,
	  { 0x10000, 2, CRIU_PRESENT } },
	{ "lazy, in no file", BYTES("\x08\x80\x80\x04\x10\x02\x20\x02"), 0,
	  { 0x10000, 2, CRIU_LAZY } },
	{ "no address", BYTES("\x10\x02\x20\x04"), -EBADMSG, { 0 } },
	{ "no old count", BYTES("\x08\x80\x80\x04\x20\x04\x28\x02"), -EBADMSG, { 0 } },
	{ "nothing at all", BYTES(""), -EBADMSG, { 0 } },
	{ "cut off", BYTES("\x08\x80\x80\x04\x10"), -EBADMSG, { 0 } },
	{ "a number without an end", BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
	  -EBADMSG, { 0 } },
	{ "no pages", BYTES("\x08\x80\x80\x04\x10\x00\x20\x04\x28\x00"), -EBADMSG, { 0 } },
	{ "within a page", BYTES("\x08\x81\x80\x04\x10\x01\x20\x04"), -EBADMSG, { 0 } },
	{ "2^52 pages", BYTES("\x08\x80\x80\x04\x10\x01\x20\x04\x28"
			      "\x80\x80\x80\x80\x80\x80\x80\x08"), -EBADMSG, { 0 } },
	{ "2^64 - 1 pages", BYTES("\x08\x80\x80\x04\x10\x01\x20\x04\x28"
				  "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), -EBADMSG, { 0 } },
	{ "an address of the kernel", BYTES("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"
					    "\x10\x01\x20\x04"), -EBADMSG, { 0 } },
	{ "present and in the parent", BYTES("\x08\x80\x80\x04\x10\x02\x20\x05"), -EBADMSG,
	  { 0 } },
	{ "no flag", BYTES("\x08\x80\x80\x04\x10\x02\x20\x00"), -EBADMSG, { 0 } },
	{ "a flag of the future", BYTES("\x08\x80\x80\x04\x10\x02\x20\x0c"), -ENOTSUP, { 0 } },
	{ "compressed", BYTES("\x08\x80\x80\x04\x10\x02\x20\x04\x32\x02\x08\x00"), -ENOTSUP,
	  { 0 } },
};

static void test_entries(void)
{
	for (size_t i = 0; i < sizeof(entry_cases) / sizeof(entry_cases[0]); i++) {
		const struct entry_case *c = &entry_cases[i];
		struct criu_entry got = { 1, 1, 1 };
		struct err e = { "" };

		is_int(criu_get_entry(c->bytes, c->len, &got, &e), c->error, "%s", c->name);
		if (c->error)
			ok(e.text[0] && got.vaddr == 1, "  with a sentence, and nothing written");
		else
			ok(got.vaddr == c->want.vaddr && got.nr_pages == c->want.nr_pages &&
			   got.flags == c->want.flags, "  and is right");
	}
}

/* --------------------------------------------------------------- the frame */

static void test_records(void)
{
	unsigned char text[16] = { 5, 0, 0, 0, 'a', 'b', 'c', 'd', 'e' };
	struct err e = { "" };
	const void *body;
	size_t len;

	for (size_t n = 0; n < 9; n++)
		is_int(criu_get_record(text, n, &body, &len, &e), 0, "%zu of 9 bytes: more", n);
	is_int(len, 5, "how much more is known");
	is_int(criu_get_record(text, 16, &body, &len, &e), 9, "a whole record");
	ok(body == text + 4 && len == 5, "  where and how long");
	memcpy(text, "\xff\xff\xff\xff", 4);
	is_int(criu_get_record(text, 16, &body, &len, &e), -EBADMSG, "4 GiB of record");
	memcpy(text, "\x01\x00\x10\x00", 4);
	is_int(criu_get_record(text, 16, &body, &len, &e), -EBADMSG, "a byte more than allowed");
	for (unsigned kind = 0; kind <= CRIU_NOTE; kind++) {
		struct buf b = BUF_INIT;

		criu_put_magic(&b, kind);
		is_int(criu_get_magic(kind, b.data, b.len, &e), b.len, "magic %u", kind);
		is_int(criu_get_magic(kind, b.data, b.len - 1, &e), 0, "  not whole");
		b.data[b.len - 1] ^= 1;
		is_int(criu_get_magic(kind, b.data, b.len, &e), -EBADMSG, "  wrong");
		buf_free(&b);
	}
}

/* ------------------------------------------- there and back, all the others */

static const void *body_of(const struct buf *b, size_t *ret_len)
{
	const void *body = NULL;

	need(criu_get_record(b->data, b->len, &body, ret_len, NULL) == (int64_t)b->len,
	     "one whole record");
	return body;
}

static void test_others(void)
{
	struct criu_inventory inventory = { 2, true, 1234567890123, 2 }, inventory2 = { 0 };
	struct criu_stats stats = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13 }, stats2;
	struct buf b = BUF_INIT;
	struct err e = { "" };
	size_t len;
	const void *body;

	criu_put_inventory(&b, &inventory);
	body = body_of(&b, &len);
	is_int(criu_get_inventory(body, len, &inventory2, &e), 0, "an inventory");
	ok(inventory2.img_version == 2 && inventory2.fdinfo_per_id &&
	   inventory2.dump_uptime_us == 1234567890123 && inventory2.pre_dump_mode == 2,
	   "  is as it was");
	/* That of a CRIU pre-dump: version 0. */
	is_int(criu_get_inventory("\x08\x00\x40\x05\x48\x01", 6, &inventory2, &e), 0,
	       "a pre-dump's of CRIU");
	is_int(inventory2.dump_uptime_us, 5, "  with its time");
	is_int(criu_get_inventory("\x08\x04", 2, &inventory2, &e), -ENOTSUP, "a later version");
	is_int(criu_get_inventory("", 0, &inventory2, &e), -EBADMSG, "an empty one");
	buf_clear(&b);
	memset(&stats2, 0, sizeof(stats2));
	criu_put_stats(&b, &stats);
	body = body_of(&b, &len);
	is_int(criu_get_stats(body, len, &stats2, &e), 0, "statistics");
	is_mem(&stats2, &stats, sizeof(stats), "  are as they were");
	is_int(criu_get_stats("", 0, &stats2, &e), -EBADMSG, "of no dump");
	buf_free(&b);
}

static void test_notes(void)
{
	struct criu_note_head head = { 7, 1007, 62, 99, "wp", "0.1.0" };
	struct criu_mapping map = {
		.start = 0x1000, .end = 0x3000, .file_offset = 0x5000, .dev = 1, .ino = 2,
		.shmid = 3, .flags = CRIU_MAP_READ | CRIU_MAP_FILE | CRIU_MAP_SHMEM,
		.name = "/a/b", .name_len = 4,
	};
	void *scratch = malloc(CRIU_NOTE_SCRATCH);
	static char elf[CRIU_ELF_PIECE];
	struct buf b = BUF_INIT;
	struct criu_note n;
	struct err e = { "" };
	const void *body;
	size_t len;

	criu_put_note_head(&b, &head);
	body = body_of(&b, &len);
	is_int(criu_get_note(body, len, scratch, &n, &e), 0, "a note's head");
	ok(n.kind == CRIU_NOTE_HEAD && n.head.pid == 7 && n.head.host_pid == 1007 &&
	   n.head.machine == 62 && n.head.time_ns == 99, "  as it was");
	is_str(n.head.tracking, "wp", "  with its words");
	is_str(n.head.version, "0.1.0", "  both of them");
	buf_clear(&b);
	criu_put_note_mapping(&b, &map);
	body = body_of(&b, &len);
	is_int(criu_get_note(body, len, scratch, &n, &e), 0, "a mapping");
	ok(n.kind == CRIU_NOTE_MAPPING && n.mapping.start == 0x1000 && n.mapping.end == 0x3000 &&
	   n.mapping.file_offset == 0x5000 && n.mapping.dev == 1 && n.mapping.ino == 2 &&
	   n.mapping.shmid == 3 && n.mapping.flags == map.flags && n.mapping.name_len == 4 &&
	   memcmp(n.mapping.name, "/a/b", 4) == 0, "  as it was");
	buf_clear(&b);
	for (size_t i = 0; i < sizeof(elf); i++)
		elf[i] = (char)(i * 7);
	criu_put_note_elf(&b, elf, sizeof(elf));
	body = body_of(&b, &len);
	is_int(criu_get_note(body, len, scratch, &n, &e), 0, "the largest piece of ELF notes");
	ok(n.kind == CRIU_NOTE_ELF && n.elf_len == sizeof(elf) &&
	   memcmp(n.elf, elf, sizeof(elf)) == 0, "  as it was");
	buf_clear(&b);
	criu_put_note_end(&b, 5, 6);
	body = body_of(&b, &len);
	is_int(criu_get_note(body, len, scratch, &n, &e), 0, "the end");
	ok(n.kind == CRIU_NOTE_END && n.mappings_n == 5 && n.elf_bytes == 6, "  as it was");
	is_int(criu_get_note("\x7a\x01x", 3, scratch, &n, &e), 0, "something of a later version");
	is_int(n.kind, CRIU_NOTE_OTHER, "  is passed over");
	is_int(criu_get_note("\x12\x07\x08\x80\x20\x10\x80\x20\x18\x00", 10, scratch, &n, &e),
	       -EBADMSG, "a mapping of no bytes");
	buf_free(&b);
	free(scratch);
}

/* Whatever the bytes: an error with a sentence, or values within the limits. */
static void test_noise(void)
{
	void *scratch = malloc(CRIU_NOTE_SCRATCH);
	unsigned bad = 0, entries = 0;

	for (unsigned i = 0; i < 200000; i++) {
		unsigned char text[64];
		size_t len = kit_random() % sizeof(text);
		struct criu_inventory inventory;
		struct criu_stats stats;
		struct criu_entry entry;
		struct criu_note note;
		struct err e = { "" };
		int r;

		for (size_t k = 0; k < len; k++)
			text[k] = kit_random() % 3 ? (unsigned char)(kit_random() % 64) :
						     (unsigned char)kit_random();
		r = criu_get_entry(text, len, &entry, &e);
		bad += r < 0 ? !e.text[0] :
			       entry.vaddr % CRIU_PAGE || !entry.nr_pages ||
			       criu_entry_end(&entry) > CRIU_ADDRESS_MAX;
		entries += r == 0;
		bad += criu_get_inventory(text, len, &inventory, &e) > 0;
		bad += criu_get_stats(text, len, &stats, &e) > 0;
		bad += criu_get_note(text, len, scratch, &note, &e) > 0;
	}
	is_int(bad, 0, "noise is refused, or within the limits (%u entries)", entries);
	free(scratch);
}

int main(void)
{
	kit_start(60);
	tap_case("what CRIU wrote is read", test_real);
	tap_case("and written", test_written);
	tap_case("entries, good and bad", test_entries);
	tap_case("lengths and magics", test_records);
	tap_case("inventory and statistics", test_others);
	tap_case("notes", test_notes);
	tap_case("noise", test_noise);
	return done();
}
