/* SPDX-License-Identifier: MIT */
/* process/maps: the parser, by tables and by damaged texts. */
#include <sys/sysmacros.h>

#include "lib/kit.h"
#include "process/maps.h"
#include "tap.h"

struct expected {
	const char *line;
	uint64_t start, end, offset;
	uint32_t flags;
	const char *name;
};

#define RW (VMA_READ | VMA_WRITE)
#define FILE_MAP (VMA_READ | VMA_FILE)
#define GONE (FILE_MAP | VMA_DELETED)

static const struct expected lines[] = {
	{ "00400000-00401000 r--p 00000000 fd:01 12                     /bin/a b  c\n",
	  0x400000, 0x401000, 0, FILE_MAP, "/bin/a b  c" },
	{ "00401000-00402000 r-xp 00001000 fd:01 12                     /bin/a b  c\n",
	  0x401000, 0x402000, 0x1000, FILE_MAP | VMA_EXEC, "/bin/a b  c" },
	{ "00402000-00403000 rw-p 00000000 00:00 0 \n", 0x402000, 0x403000, 0, RW, "" },
	{ "00403000-00404000 rw-p 00000000 00:00 0                      [heap]\n",
	  0x403000, 0x404000, 0, RW | VMA_HEAP, "[heap]" },
	{ "00404000-00405000 rw-p 00000000 00:00 0                      [anon:a [b] (deleted)]\n",
	  0x404000, 0x405000, 0, RW, "[anon:a [b] (deleted)]" },
	{ "00405000-00406000 rw-s 00000000 00:01 7                      /dev/zero (deleted)\n",
	  0x405000, 0x406000, 0, RW | VMA_SHARED | GONE, "/dev/zero (deleted)" },
	{ "00406000-00407000 rw-s 00000000 00:01 8                      [anon_shmem:x]\n",
	  0x406000, 0x407000, 0, RW | VMA_SHARED | GONE, "[anon_shmem:x]" },
	{ "00407000-00408000 rw-s 00000000 00:01 9                      /SYSV0000abcd (deleted)\n",
	  0x407000, 0x408000, 0, RW | VMA_SHARED | GONE, "/SYSV0000abcd (deleted)" },
	{ "00408000-00409000 r--s 00000000 00:01 9                      /memfd:m (deleted)\n",
	  0x408000, 0x409000, 0, GONE | VMA_SHARED, "/memfd:m (deleted)" },
	{ "00409000-0040a000 r--p 00000000 08:01 3 /new\\012line\\x (deleted) \\01\n",
	  0x409000, 0x40a000, 0, FILE_MAP, "/new\nline\\x (deleted) \\01" },
	{ "0040a000-0040b000 r--p 00000000 08:01 4 /[heap]\n",
	  0x40a000, 0x40b000, 0, FILE_MAP, "/[heap]" },
	{ "0040b000-0040c000 r--p 00000000 08:01 5 [stack]\n",
	  0x40b000, 0x40c000, 0, FILE_MAP, "[stack]" },
	{ "0040c000-0040d000 r--s ffffffffffff0000 08:01 18446744073709551615 "
	  "anon_inode:[io_uring]\n",
	  0x40c000, 0x40d000, 0xffffffffffff0000, FILE_MAP | VMA_SHARED, "anon_inode:[io_uring]" },
	{ "0040d000-0040e000 ---p 00000000 00:00 0 \n", 0x40d000, 0x40e000, 0, 0, "" },
	{ "7ffd0000-7ffd1000 rw-p 00000000 00:00 0                      [stack]\n",
	  0x7ffd0000, 0x7ffd1000, 0, RW | VMA_STACK, "[stack]" },
	{ "7ffd1000-7ffd2000 rw-p 00000000 00:00 0                      [stack:12]\n",
	  0x7ffd1000, 0x7ffd2000, 0, RW, "[stack:12]" },
	{ "7ffe0000-7ffe4000 r--p 00000000 00:00 0                      [vvar]\n",
	  0x7ffe0000, 0x7ffe4000, 0, VMA_READ | VMA_SPECIAL | VMA_UNREADABLE, "[vvar]" },
	{ "7ffe4000-7ffe6000 r--p 00000000 00:00 0                      [vvar_vclock]\n",
	  0x7ffe4000, 0x7ffe6000, 0, VMA_READ | VMA_SPECIAL | VMA_UNREADABLE, "[vvar_vclock]" },
	{ "7ffe6000-7ffe8000 r-xp 00000000 00:00 0                      [vdso]\n",
	  0x7ffe6000, 0x7ffe8000, 0, VMA_READ | VMA_EXEC | VMA_SPECIAL, "[vdso]" },
	{ "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0      [vsyscall]\n",
	  0xffffffffff600000, 0xffffffffff601000, 0, VMA_EXEC | VMA_SPECIAL, "[vsyscall]" },
	{ "fffffffffffff000-ffffffffffffffff rw-p 00000000 00:00 0", 0xfffffffffffff000,
	  UINT64_MAX, 0, RW, "" },
};
#define LINES (sizeof(lines) / sizeof(lines[0]))

static char all_lines[LINES * 128];

static void join_lines(void)
{
	for (size_t i = 0; i < LINES; i++)
		strcat(all_lines, lines[i].line);
}

static void test_lines(void)
{
	struct maps m = MAPS_INIT;

	is_int(maps_parse(all_lines, MAPS_PLAIN, &m), 0, "parsed");
	is_int(m.n, LINES, "all of them");
	for (size_t i = 0; i < LINES; i++) {
		const struct expected *e = &lines[i];

		ok(m.v[i].start == e->start && m.v[i].end == e->end, "%zu: addresses", i);
		ok(m.v[i].file_offset == e->offset, "%zu: offset", i);
		is_int(m.v[i].flags, e->flags, "%zu: flags", i);
		is_str(maps_name(&m, &m.v[i]), e->name, "%zu: name", i);
		is_int(m.v[i].page_size, 4096, "%zu: page size", i);
		ok(maps_find(&m, e->start) == &m.v[i], "%zu: found by its first", i);
		ok(maps_find(&m, e->end - 1) == &m.v[i], "%zu: found by its last", i);
	}
	is_int(m.v[0].name, m.v[1].name, "a name that is the same is kept once");
	ok(m.v[0].dev == makedev(0xfd, 1) && m.v[0].ino == 12, "device and inode");
	ok(m.v[12].ino == UINT64_MAX, "a large inode");
	ok(!maps_find(&m, 0) && !maps_find(&m, 0x3fffff) && !maps_find(&m, 0x40e000) &&
	   !maps_find(&m, UINT64_MAX), "what is not mapped is not found");
	is_int(maps_parse("", MAPS_PLAIN, &m), 0, "nothing");
	is_int(m.n, 0, "is nothing");
	ok(!maps_find(&m, 0), "nothing is found there");
	maps_free(&m);
}

static void test_device_numbers(void)
{
	static const unsigned numbers[][2] = {
		{ 0, 0 }, { 8, 1 }, { 0xfff, 0xff }, { 0xfd, 0xfffff }, { 259, 0x12345 },
	};
	struct maps m = MAPS_INIT;
	char line[100];

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		snprintf(line, sizeof(line), "1000-2000 rw-p 00000000 %02x:%02x 5 x\n",
			 numbers[i][0], numbers[i][1]);
		is_int(maps_parse(line, MAPS_PLAIN, &m), 0, "parsed");
		ok(m.v[0].dev == makedev(numbers[i][0], numbers[i][1]), "%x:%x", numbers[i][0],
		   numbers[i][1]);
	}
	maps_free(&m);
}

static void test_refused(void)
{
	static const char *const texts[] = {
		"\n", "x\n", "1000\n", "1000-2000\n", "1000-2000 rw-\n", "1000-2000 rw-p\n",
		"1000-2000 rw-p 0\n", "1000-2000 rw-p 0 0\n", "1000-2000 rw-p 0 0:0\n",
		"1000-2000 rw-p 0 0:0 \n", "1000-2000 rwzp 0 0:0 0\n", "1000-2000 rw-q 0 0:0 0\n",
		"2000-1000 rw-p 0 0:0 0\n", "1000-1000 rw-p 0 0:0 0\n",
		"10000000000000000-20000000000000000 rw-p 0 0:0 0\n",
		"1000-2000 rw-p 0 0:0 18446744073709551616\n", "1000-2000 rw-p 0 0:0 -1\n",
		"1000-2000 rw-p 0 0:0 0\nSize: 4 kB\n", "1000-2000 rw-p 0 0:0 0\n\n",
		"1000 -2000 rw-p 0 0:0 0\n", "1000-2000 rw-p 0 0 0:0 0\n",
	};
	static const char *const smaps[] = {
		"Size: 4 kB\n", "1000-2000 rw-p 0 0:0 0\nSize\n",
		"1000-2000 rw-p 0 0:0 0\nKernelPageSize: x kB\n",
		"1000-2000 rw-p 0 0:0 0\nKernelPageSize: 5 kB\n",
		"1000-2000 rw-p 0 0:0 0\nKernelPageSize: 99999999999 kB\n",
		"1000-2000 rw-p 0 0:0 0\nAnonymous: \n",
	};
	struct maps m = MAPS_INIT;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		is_int(maps_parse(texts[i], MAPS_PLAIN, &m), -EBADMSG, "refused: %s", texts[i]);
		is_int(m.n, 0, "with nothing in it");
	}
	for (size_t i = 0; i < sizeof(smaps) / sizeof(smaps[0]); i++)
		is_int(maps_parse(smaps[i], MAPS_SMAPS, &m), -EBADMSG, "refused: %s", smaps[i]);
	maps_free(&m);
}

#define DETAILS(anon, swap, page, flags) \
	"Size:  8 kB\nKernelPageSize:    " page " kB\nMMUPageSize: 4 kB\nRss: 0 kB\n" \
	"Anonymous:       " anon " kB\nAnonHugePages:  " anon "096 kB\n" \
	"Swap:      " swap " kB\nSwapPss: 0 kB\n" \
	"THPeligible:    0\nProtectionKey:         0\nVmFlags: " flags "\n"

static const char smaps_text[] =
	"1000-2000 rw-p 00000000 00:00 0 \n" DETAILS("4", "0", "4", "rd wr mr mw me ac dd sd ")
	"2000-3000 rw-p 00000000 00:00 0 \n" DETAILS("0", "4", "4", "rd wr dc wf ")
	"3000-4000 rw-s 00000000 00:01 9 /x\n" DETAILS("0", "4", "4", "rd wr sh ms io ")
	"200000-400000 rw-p 00000000 00:10 9 /anon_hugepage (deleted)\n"
	DETAILS("0", "0", "2048", "rd wr ht um")
	"400000-401000 rw-p 00000000 00:00 0 \n" DETAILS("0", "0", "4", "uw pf")
	"401000-402000 rw-p 00000000 00:00 0 \n" DETAILS("0", "0", "4", "")
	"402000-403000 rw-p 00000000 00:00 0 \nSize: 4 kB\n";

static void test_smaps(void)
{
	struct maps m = MAPS_INIT;

	is_int(maps_parse(smaps_text, MAPS_SMAPS, &m), 0, "parsed");
	is_int(m.n, 7, "all of them");
	is_int(m.v[0].flags, RW | VMA_KNOWN | VMA_DONTDUMP | VMA_ANON, "dd, with pages");
	is_int(m.v[1].flags, RW | VMA_KNOWN | VMA_DONTFORK | VMA_WIPEONFORK | VMA_ANON,
	       "dc, wf, all swapped");
	is_int(m.v[2].flags, RW | VMA_SHARED | VMA_FILE | VMA_KNOWN | VMA_IO, "io, shared");
	is_int(m.v[3].flags, RW | VMA_FILE | VMA_DELETED | VMA_KNOWN | VMA_HUGETLB | VMA_UFFD,
	       "ht, um");
	is_int(m.v[3].page_size, 2 << 20, "huge pages");
	is_int(m.v[4].flags, RW | VMA_KNOWN | VMA_UFFD | VMA_IO, "uw, pf");
	is_int(m.v[5].flags, RW | VMA_KNOWN, "no flags");
	is_int(m.v[6].flags, RW, "flags not seen: not known");
	is_int(maps_bytes(&m), 3 * 4096 + (2 << 20) + 3 * 4096, "bytes");
	maps_free(&m);
}

/* Read in pieces from a target that changed in between. */
static void test_changing(void)
{
	static const char text[] =
		"1000-5000 rw-p 00000000 00:00 0 \n"
		"2000-3000 rw-p 00000000 00:00 0 [heap]\n"
		"4000-8000 rw-p 00010000 08:01 7 /x\n"
		"8000-9000 rw-p 00014000 08:01 7 /x\n";
	struct maps m = MAPS_INIT;

	is_int(maps_parse(text, MAPS_PLAIN, &m), 0, "parsed");
	is_int(m.n, 3, "the one within another is left out");
	ok(m.v[1].start == 0x5000 && m.v[1].end == 0x8000, "the other is cut");
	is_int(m.v[1].file_offset, 0x11000, "with its offset");
	is_int(maps_parse("1000-3000 rw-p 0 00:00 0\nVmFlags: dd\n2000-3000 rw-p 0 00:00 0\n"
			  "VmFlags: io\n", MAPS_SMAPS, &m), 0, "with details");
	is_int(m.n, 1, "one");
	is_int(m.v[0].flags, RW | VMA_KNOWN | VMA_DONTDUMP, "without those of what is left out");
	maps_free(&m);
}

/* -------------------------------------------------------------------- adopt */

static uint32_t adopted(const char *old_text, const char *text)
{
	struct maps old = MAPS_INIT, m = MAPS_INIT;
	uint32_t flags;

	need(maps_parse(old_text, MAPS_SMAPS, &old) == 0, "old");
	need(maps_parse(text, MAPS_PLAIN, &m) == 0 && m.n > 0, "new");
	maps_adopt(&m, &old);
	flags = m.v[0].flags & ~(uint32_t)(RW | VMA_FILE | VMA_HEAP | VMA_SHARED | VMA_STACK);
	maps_free(&old);
	maps_free(&m);
	return flags;
}

#define OLD "3000-6000 rw-p 00002000 08:01 7 /x\nVmFlags: dd\n"
#define ANON "3000-6000 rw-p 0 00:00 0\nAnonymous: 4 kB\nVmFlags: wf\n"

static void test_adopt(void)
{
	const uint32_t dd = VMA_KNOWN | VMA_DONTDUMP, wf = VMA_KNOWN | VMA_WIPEONFORK | VMA_ANON;

	is_int(adopted(OLD, "3000-6000 rw-p 2000 08:01 7 /x\n"), dd, "the same");
	is_int(adopted(OLD, "4000-5000 rw-p 3000 08:01 7 /x\n"), dd, "a part");
	is_int(adopted(OLD, "1000-9000 rw-p 0 08:01 7 /x\n"), dd, "grown");
	is_int(adopted(OLD, "4000-5000 rw-p 2000 08:01 7 /x\n"), 0, "at another offset");
	is_int(adopted(OLD, "3000-6000 r--p 2000 08:01 7 /x\n"), 0, "with other access");
	is_int(adopted(OLD, "3000-6000 rw-s 2000 08:01 7 /x\n"), 0, "shared now");
	is_int(adopted(OLD, "3000-6000 rw-p 2000 08:01 8 /x\n"), 0, "another file");
	is_int(adopted(OLD, "3000-6000 rw-p 2000 08:02 7 /x\n"), 0, "on another device");
	is_int(adopted(OLD, "3000-6000 rw-p 0 00:00 0\n"), 0, "anonymous now");
	is_int(adopted(OLD, "6000-7000 rw-p 5000 08:01 7 /x\n"), 0, "next to it");
	is_int(adopted(ANON, "3000-6000 rw-p 0 00:00 0\n"), wf, "anonymous");
	is_int(adopted(ANON, "3000-6000 rw-p 0 00:00 0 [heap]\n"), 0, "the heap is another");
	is_int(adopted("3000-6000 rw-p 0 00:00 0\n", "3000-6000 rw-p 0 00:00 0\n"), 0,
	       "what was not known is not known now");
	is_int(adopted("3000-4000 rw-p 0 0:0 0\nVmFlags: dc\n5000-6000 rw-p 0 0:0 0\nVmFlags: wf\n",
		       "2000-7000 rw-p 0 00:00 0\n"), VMA_KNOWN | VMA_DONTFORK | VMA_WIPEONFORK,
	       "two were merged: the flags of both");
	is_int(adopted("3000-4000 rw-p 0 0:0 0\nVmFlags: dc\n5000-6000 r--p 0 0:0 0\nVmFlags: wf\n",
		       "2000-7000 rw-p 0 00:00 0\n"), 0, "one of two was another");
	is_int(adopted("", "2000-7000 rw-p 0 00:00 0\n"), 0, "nothing was known");
}

/* ------------------------------------------------------------------ damaged */

static void damage(char *text, size_t len)
{
	for (size_t n = kit_random() % 6; n-- > 0;) {
		size_t at = kit_random() % len;

		switch (kit_random() % 5) {
		case 0:
			text[at] = (char)kit_random();
			break;
		case 1:
			text[at] = "\n -:\\f9"[kit_random() % 7];
			break;
		case 2:
			memmove(text + at, text + at + 1, strlen(text + at));
			break;
		case 3:
			if (kit_random() % 8 == 0)
				text[at] = '\0';
			break;
		default:
			text[at] ^= (char)(1 << kit_random() % 7);
		}
	}
}

static bool maps_are_sound(const struct maps *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].start >= m->v[i].end || (i && m->v[i].start < m->v[i - 1].end) ||
		    strlen(maps_name(m, &m->v[i])) >= m->names.len)
			return false;
	return true;
}

static void test_damaged(void)
{
	unsigned rounds = kit_full() ? 500000 : 20000, good = 0, bad = 0;
	struct maps m = MAPS_INIT, old = MAPS_INIT;

	need(maps_parse(smaps_text, MAPS_SMAPS, &old) == 0, "old");
	for (unsigned i = 0; i < rounds; i++) {
		char *text = strdup(i % 2 ? smaps_text : all_lines);

		damage(text, strlen(text));
		if (maps_parse(text, i % 2 ? MAPS_SMAPS : MAPS_PLAIN, &m) == 0) {
			maps_adopt(&m, &old);
			good++;
			bad += !maps_are_sound(&m);
		}
		free(text);
	}
	is_int(bad, 0, "no maps that make no sense");
	ok(good > rounds / 20 && good < rounds, "%u of %u were still good", good, rounds);
	maps_free(&m);
	maps_free(&old);
}

int main(void)
{
	kit_start(120);
	join_lines();
	tap_case("lines", test_lines);
	tap_case("device numbers", test_device_numbers);
	tap_case("what makes no sense is refused", test_refused);
	tap_case("smaps", test_smaps);
	tap_case("a target that changes while it is read", test_changing);
	tap_case("adopt", test_adopt);
	tap_case("damaged texts", test_damaged);
	return done();
}
