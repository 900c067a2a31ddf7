/* SPDX-License-Identifier: MIT */
/* The ELF header and the program headers. */
#include <assert.h>
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "image/core.h"

static_assert(sizeof(Elf64_Ehdr) == 64 && sizeof(Elf64_Phdr) == 56 && sizeof(Elf64_Shdr) == 64,
	      "the sizes of the ELF standard");

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HEAD_DATA ELFDATA2LSB
#else
#define HEAD_DATA ELFDATA2MSB
#endif

struct head {
	const struct core_layout *layout;
	struct buf loads;
	uint64_t n;              /* program headers in loads */
	uint64_t offset;         /* behind the last one; for those without bytes */
};

static void head_load(struct head *h, uint64_t start, uint64_t offset, uint64_t filesz,
		      uint64_t memsz, uint32_t flags)
{
	Elf64_Phdr ph = {
		.p_type = PT_LOAD, .p_flags = flags, .p_offset = offset, .p_vaddr = start,
		.p_filesz = filesz, .p_memsz = memsz, .p_align = CORE_PAGE,
	};

	buf_append(&h->loads, &ph, sizeof(ph));
	h->n++;
	h->offset = offset + filesz;
}

/* Bytes from addr on that have no place, len at most. */
static uint64_t head_gap(const struct core_layout *l, uint64_t addr, uint64_t len)
{
	size_t low = 0, high = l->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (l->v[middle].start <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low < l->n ? min_u64(len, l->v[low].start - addr) : len;
}

/*
 * One segment: as many program headers as it has pieces in the file.  The last
 * one also spans what is not in the file at all.
 */
static void head_segment(struct head *h, const struct core_segment *s)
{
	uint64_t at = s->start, file_end = s->start + min_u64(s->file_bytes, s->end - s->start);

	while (at < file_end) {
		uint64_t len = 0, offset = core_layout_offset(h->layout, at, &len);
		uint64_t filesz = min_u64(len, file_end - at), memsz = filesz;

		if (offset == UINT64_MAX) {
			offset = h->offset;
			memsz = head_gap(h->layout, at, file_end - at);
		}
		if (at + memsz == file_end)
			memsz = s->end - at;
		head_load(h, at, offset, filesz, memsz, s->flags);
		at += memsz;
	}
	if (at < s->end)
		head_load(h, at, h->offset, 0, s->end - at, s->flags);
}

/*
 * e_phnum has 16 bits; more are counted in the first section header
 * (PN_XNUM, Linux 2.6.34).
 */
static void head_section(struct buf *b, uint64_t phnum)
{
	Elf64_Shdr sh = { .sh_type = SHT_NULL, .sh_size = 1, .sh_info = (uint32_t)phnum };

	buf_append(b, &sh, sizeof(sh));
}

static void head_elf(struct buf *b, uint64_t phoff, uint64_t phnum, uint64_t shoff)
{
	Elf64_Ehdr eh = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, HEAD_DATA, EV_CURRENT,
			     ELFOSABI_NONE },
		.e_type = ET_CORE, .e_machine = arch_elf_machine, .e_version = EV_CURRENT,
		.e_phoff = phoff, .e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = phnum >= PN_XNUM ? PN_XNUM : (uint16_t)phnum,
	};

	if (phnum >= PN_XNUM) {
		eh.e_shoff = shoff;
		eh.e_shentsize = sizeof(Elf64_Shdr);
		eh.e_shnum = 1;
	}
	buf_append(b, &eh, sizeof(eh));
}

/* Program headers, notes and section header, to lie at file offset `offset`. */
static void head_rest(struct buf *b, const struct head *h, const struct buf *notes,
		      uint64_t offset, bool section)
{
	Elf64_Phdr ph = {
		.p_type = PT_NOTE, .p_offset = offset + (h->n + 1) * sizeof(ph),
		.p_filesz = notes->len, .p_align = 4,
	};

	buf_append(b, &ph, sizeof(ph));
	buf_append(b, h->loads.data, h->loads.len);
	buf_append(b, notes->data, notes->len);
	if (section) {
		while (b->len % 8 && !b->error)
			buf_putc(b, '\0');
		head_section(b, h->n + 1);
	}
}

static int head_put(struct head *h, const struct buf *notes, struct buf *ret_head,
		    struct buf *ret_tail)
{
	const struct core_layout *l = h->layout;
	uint64_t phnum = h->n + 1, rest = phnum * sizeof(Elf64_Phdr) + notes->len;
	bool section = phnum >= PN_XNUM;
	uint64_t phoff = sizeof(Elf64_Ehdr);

	if (section)
		rest = align_down(rest + 7, 8) + sizeof(Elf64_Shdr);
	if (phoff + rest > l->head_bytes)
		phoff = l->file_end;
	head_elf(ret_head, phoff, phnum, phoff + rest - sizeof(Elf64_Shdr));
	head_rest(phoff == l->file_end ? ret_tail : ret_head, h, notes, phoff, section);
	return ret_head->error ? ret_head->error : ret_tail->error;
}

int core_head(const struct core_layout *l, const struct core_segment *segments, size_t n,
	      const struct buf *notes, struct buf *ret_head, struct buf *ret_tail,
	      struct err *reterr)
{
	struct head h = { .layout = l, .loads = BUF_INIT, .offset = l->head_bytes };
	int r;

	buf_clear(ret_head);
	buf_clear(ret_tail);
	for (size_t i = 0; i < n; i++)
		head_segment(&h, &segments[i]);
	r = notes->error ? notes->error : h.loads.error;
	if (r == 0 && h.n >= UINT32_MAX)
		r = -EFBIG;
	if (r == 0)
		r = head_put(&h, notes, ret_head, ret_tail);
	buf_free(&h.loads);
	return r < 0 ? err_errno(reterr, r, "core: its headers") : 0;
}
