/* SPDX-License-Identifier: MIT */
/* image/head: what the headers say is where the layout put the memory. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "image/core.h"
#include "lib/kit.h"
#include "tap.h"

#define PAGE ((uint64_t)CORE_PAGE)
#define BASE UINT64_C(0x555500000000)

static struct core_layout layout;
static struct buf head, tail, notes;

static void fresh(size_t segments)
{
	is_int(core_layout_begin(&layout, segments, 1, 64), 0, "begin");
	buf_clear(&notes);
	buf_append(&notes, "0123456789abcdef", 16);
}

static void place(unsigned from, unsigned to)
{
	need(core_layout_place(&layout, BASE + from * PAGE, BASE + to * PAGE) == 0, "placed");
}

static struct core_segment segment(unsigned from, unsigned to, unsigned pages_in_file)
{
	return (struct core_segment){ BASE + from * PAGE, BASE + to * PAGE, pages_in_file * PAGE,
				      PF_R | PF_W };
}

static void make(const struct core_segment *s, size_t n)
{
	struct err e = { "" };

	is_int(core_head(&layout, s, n, &notes, &head, &tail, &e), 0, "the headers");
}

static const Elf64_Ehdr *elf(void)
{
	return (const Elf64_Ehdr *)(const void *)head.data;
}

static const Elf64_Phdr *program(unsigned i)
{
	const struct buf *b = tail.len ? &tail : &head;
	size_t at = tail.len ? 0 : elf()->e_phoff;

	return (const Elf64_Phdr *)(const void *)(b->data + at) + i;
}

static void is_load(unsigned i, unsigned from, unsigned pages_in_file, unsigned pages,
		    uint64_t offset, const char *name)
{
	const Elf64_Phdr *p = program(i);

	ok(p->p_type == PT_LOAD && p->p_vaddr == BASE + from * PAGE &&
		   p->p_filesz == pages_in_file * PAGE && p->p_memsz == pages * PAGE &&
		   (offset == 0 || p->p_offset == offset) && p->p_align == PAGE &&
		   p->p_flags == (PF_R | PF_W) && p->p_paddr == 0,
	   "%s: at %jx, %jx of %jx bytes at offset %jx", name, (uintmax_t)p->p_vaddr,
	   (uintmax_t)p->p_filesz, (uintmax_t)p->p_memsz, (uintmax_t)p->p_offset);
}

static void test_plain(void)
{
	struct core_segment s[] = { segment(0, 4, 4), segment(4, 6, 0), segment(8, 12, 1) };
	const Elf64_Ehdr *e;

	fresh(3);
	place(0, 4);
	place(8, 9);
	make(s, 3);
	e = elf();
	ok(memcmp(e->e_ident, ELFMAG, SELFMAG) == 0 && e->e_ident[EI_CLASS] == ELFCLASS64 &&
		   e->e_ident[EI_DATA] == ELFDATA2LSB && e->e_ident[EI_VERSION] == EV_CURRENT &&
		   e->e_type == ET_CORE && e->e_machine == EM_X86_64 && e->e_version == EV_CURRENT,
	   "an ELF core");
	ok(e->e_ehsize == 64 && e->e_phentsize == 56 && e->e_phoff == 64 && e->e_phnum == 4 &&
		   e->e_shnum == 0 && e->e_shoff == 0,
	   "  with its program headers behind it");
	ok(program(0)->p_type == PT_NOTE && program(0)->p_align == 4 &&
		   program(0)->p_filesz == 16 && program(0)->p_memsz == 0 &&
		   memcmp(head.data + program(0)->p_offset, "0123456789abcdef", 16) == 0,
	   "notes");
	is_load(1, 0, 4, 4, layout.head_bytes, "whole");
	is_load(2, 4, 0, 2, layout.head_bytes + 4 * PAGE, "nothing in the file");
	is_load(3, 8, 1, 4, layout.head_bytes + 4 * PAGE, "one page in the file");
	is_int(head.len, 64 + 4 * 56 + 16, "no more than that");
	is_int(tail.len, 0, "no tail");
}

static void test_cut(void)
{
	struct core_segment s[] = { segment(4, 12, 8), segment(20, 30, 6) };
	uint64_t begin;

	fresh(2);
	begin = layout.head_bytes;
	place(8, 10);   /* first seen */
	place(20, 22);
	place(6, 12);   /* grew both ways */
	place(24, 26);
	make(s, 2);
	is_int(elf()->e_phnum, 8, "segments are cut where places are not one behind the other");
	is_load(1, 4, 0, 2, 0, "what has no place has no bytes");
	is_load(2, 6, 2, 2, begin + 4 * PAGE, "grew down");
	is_load(3, 8, 2, 2, begin, "the old part");
	is_load(4, 10, 2, 2, begin + 6 * PAGE, "grew up");
	is_load(5, 20, 2, 2, begin + 2 * PAGE, "the second");
	is_load(6, 22, 0, 2, 0, "  a gap in it");
	is_load(7, 24, 2, 6, begin + 8 * PAGE, "  its end, with what is not in the file");
	/* More bytes than it is long, and an unmapped rest. */
	s[0] = segment(30, 32, 5);
	make(s, 1);
	is_load(1, 30, 0, 2, 0, "no place at all");
	make(s, 0);
	is_int(elf()->e_phnum, 1, "no segments: notes only");
}

/* What was expected was too little. */
static void test_tail(void)
{
	static struct core_segment s[400];

	fresh(1);
	for (unsigned i = 0; i < 400; i++) {
		place(2 * i, 2 * i + 1);
		s[i] = segment(2 * i, 2 * i + 1, 1);
	}
	make(s, 400);
	is_int(head.len, 64, "too many segments: only the ELF header is in front");
	is_int(elf()->e_phoff, layout.file_end, "  the rest is behind the memory");
	is_int(tail.len, 401 * 56 + 16, "  all of it");
	is_int(program(0)->p_offset, layout.file_end + 401 * 56, "  notes, too");
	is_load(400, 798, 1, 1, layout.file_end - PAGE, "the last one");
	make(s, 40);
	ok(tail.len == 0 && head.len == 64 + 41 * 56 + 16, "few: no tail");
	fresh(1);
	while (notes.len < layout.head_bytes - 64 - 56)
		buf_putc(&notes, 'n');
	make(s, 0);
	is_int(head.len, layout.head_bytes, "what just fits");
	buf_append(&notes, "more", 4);
	make(s, 0);
	ok(head.len == 64 && tail.len == layout.head_bytes - 64 + 4, "  and what just does not");
}

static void test_errors(void)
{
	struct err e = { "" };

	fresh(1);
	notes.error = -ENOMEM;
	is_int(core_head(&layout, NULL, 0, &notes, &head, &tail, &e), -ENOMEM,
	       "notes that failed fail");
	ok(strstr(e.text, "core: "), "  with a sentence: %s", e.text);
}

/* ------------------------------------------------------------- many segments */

static void write_core(const char *path)
{
	int fd = kit_must(open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));

	kit_must(ftruncate(fd, (off_t)layout.file_end));
	kit_write_all(fd, head.data, head.len, 0);
	if (tail.len)
		kit_write_all(fd, tail.data, tail.len, (int64_t)layout.file_end);
	close(fd);
}

static void test_readelf(const char *path, unsigned n)
{
	char command[300], line[300], last[300] = "";
	unsigned loads = 0, warnings = 0;
	FILE *f;

	snprintf(command, sizeof(command), "readelf -lW %s 2>&1", path);
	f = popen(command, "r");
	need(f, "readelf");
	while (fgets(line, sizeof(line), f)) {
		warnings += strcasestr(line, "warning") || strcasestr(line, "error");
		if (strncmp(line, "  LOAD ", 7) != 0)
			continue;
		loads++;
		snprintf(last, sizeof(last), "%.*s", (int)strcspn(line, "\n"), line);
	}
	is_int(pclose(f), 0, "readelf reads it");
	is_int(loads, n, "  and counts the segments");
	is_int(warnings, 0, "  and warns of nothing");
	ok(strstr(last, "0x001000 0x001000 RW  0x1000"), "  the last one: %s", last);
}

/* e_phnum has 16 bits.  expected: what the head was made for. */
static void test_many(unsigned n, size_t expected, const char *dir)
{
	struct core_segment *s = calloc(n, sizeof(*s));
	const Elf64_Shdr *sh;
	char path[200];

	fresh(expected);
	for (unsigned i = 0; i < n; i++) {
		place(2 * i, 2 * i + 1);
		s[i] = segment(2 * i, 2 * i + 1, 1);
	}
	make(s, n);
	free(s);
	diag("%u segments, room for %zu", n, expected);
	is_int(tail.len != 0, expected < n / 2, "in front where there is room");
	if (n + 1 < PN_XNUM) {
		is_int(elf()->e_phnum, n + 1, "counted in the ELF header");
		is_int(elf()->e_shnum, 0, "  no section header");
	} else {
		uint64_t at = elf()->e_shoff;

		is_int(elf()->e_phnum, PN_XNUM, "counted in a section header");
		ok(elf()->e_shnum == 1 && elf()->e_shentsize == 64 && elf()->e_shstrndx == 0,
		   "  there is one");
		need(at % 8 == 0 && (tail.len ? at + 64 == layout.file_end + tail.len :
						at + 64 == head.len), "it lies at the end");
		sh = (const void *)(tail.len ? tail.data + (at - layout.file_end) :
					       head.data + at);
		ok(sh->sh_info == n + 1 && sh->sh_type == SHT_NULL && sh->sh_size == 1,
		   "  with their number");
	}
	snprintf(path, sizeof(path), "%s/core.%u", dir, n);
	write_core(path);
	test_readelf(path, n);
	unlink(path);
}

int main(void)
{
	char dir[] = "/tmp/decant-head-XXXXXX";

	kit_start(60);
	need(mkdtemp(dir), "a directory");
	test_plain();
	test_cut();
	test_tail();
	test_errors();
	test_many(65533, 65533, dir);
	test_many(65534, 65534, dir);
	test_many(70000, 70000, dir);
	test_many(70000, 10, dir);
	rmdir(dir);
	core_layout_free(&layout);
	buf_free(&head);
	buf_free(&tail);
	buf_free(&notes);
	return done();
}
