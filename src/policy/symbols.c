/* SPDX-License-Identifier: MIT */
#include "policy/symbols.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "sys/sys.h"

#define SYMBOL_SECTIONS_MAX 4096
#define SYMBOL_TABLE_MAX (UINT64_C(256) << 20)
#define SYMBOL_CHUNK 1024   /* symbols that are read at a time */
#define SYMBOL_NAME_MAX 200

/* Of both classes, what is needed. */
struct symbol_file {
	int fd;
	bool wide;
	uint64_t phoff, shoff;
	unsigned phn, phsize, shn, shsize;
};

struct symbol_section {
	uint32_t type, link;
	uint64_t offset, size;
};

struct symbol_entry {
	uint32_t name;
	unsigned char info;
	uint64_t value, size;
};

static bool symbol_read(const struct symbol_file *f, void *buf, size_t len, uint64_t offset)
{
	return sys_pread(f->fd, buf, len, offset) == (ssize_t)len;
}

static bool symbol_open(struct symbol_file *f)
{
	union {
		unsigned char ident[EI_NIDENT];
		Elf64_Ehdr e64;
		Elf32_Ehdr e32;
	} h;

	memset(&h, 0, sizeof(h));
	if (!symbol_read(f, &h, sizeof(h), 0) || memcmp(h.ident, ELFMAG, SELFMAG) != 0)
		return false;
	f->wide = h.ident[EI_CLASS] == ELFCLASS64;
	f->phoff = f->wide ? h.e64.e_phoff : h.e32.e_phoff;
	f->shoff = f->wide ? h.e64.e_shoff : h.e32.e_shoff;
	f->phn = f->wide ? h.e64.e_phnum : h.e32.e_phnum;
	f->shn = f->wide ? h.e64.e_shnum : h.e32.e_shnum;
	f->phsize = f->wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
	f->shsize = f->wide ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr);
	return f->shn <= SYMBOL_SECTIONS_MAX;
}

/* Where the loader puts the byte at offset. */
static bool symbol_address(const struct symbol_file *f, uint64_t offset, uint64_t *ret)
{
	for (unsigned i = 0; i < f->phn; i++) {
		uint64_t from, size, address, at = f->phoff + (uint64_t)i * f->phsize;
		bool load;

		if (f->wide) {
			Elf64_Phdr p;

			if (!symbol_read(f, &p, sizeof(p), at))
				return false;
			load = p.p_type == PT_LOAD;
			from = p.p_offset;
			size = p.p_filesz;
			address = p.p_vaddr;
		} else {
			Elf32_Phdr p;

			if (!symbol_read(f, &p, sizeof(p), at))
				return false;
			load = p.p_type == PT_LOAD;
			from = p.p_offset;
			size = p.p_filesz;
			address = p.p_vaddr;
		}
		if (load && offset >= from && offset - from < size) {
			*ret = offset - from + address;
			return true;
		}
	}
	return false;
}

static bool symbol_section(const struct symbol_file *f, unsigned i, struct symbol_section *ret)
{
	uint64_t at = f->shoff + (uint64_t)i * f->shsize;

	if (i >= f->shn)
		return false;
	if (f->wide) {
		Elf64_Shdr s;

		if (!symbol_read(f, &s, sizeof(s), at))
			return false;
		*ret = (struct symbol_section){ s.sh_type, s.sh_link, s.sh_offset, s.sh_size };
	} else {
		Elf32_Shdr s;

		if (!symbol_read(f, &s, sizeof(s), at))
			return false;
		*ret = (struct symbol_section){ s.sh_type, s.sh_link, s.sh_offset, s.sh_size };
	}
	return true;
}

static struct symbol_entry symbol_entry(const struct symbol_file *f, const void *table, size_t i)
{
	if (f->wide) {
		const Elf64_Sym *s = (const Elf64_Sym *)table + i;

		return (struct symbol_entry){ s->st_name, s->st_info, s->st_value, s->st_size };
	} else {
		const Elf32_Sym *s = (const Elf32_Sym *)table + i;

		return (struct symbol_entry){ s->st_name, s->st_info, s->st_value, s->st_size };
	}
}

/* The function around address, or the nearest one without a size before it. */
static bool symbol_in(const struct symbol_file *f, const struct symbol_section *table,
		      uint64_t address, struct symbol_entry *ret)
{
	size_t each = f->wide ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
	uint64_t n = min_u64(table->size, SYMBOL_TABLE_MAX) / each;
	_cleanup_free_ void *chunk = sys_malloc(SYMBOL_CHUNK * each);
	bool found = false;

	if (!chunk)
		return false;
	for (uint64_t i = 0; i < n; i += SYMBOL_CHUNK) {
		uint64_t now = min_u64(n - i, SYMBOL_CHUNK);

		if (!symbol_read(f, chunk, now * each, table->offset + i * each))
			return found;
		for (uint64_t k = 0; k < now; k++) {
			struct symbol_entry s = symbol_entry(f, chunk, k);

			/* The types are the same in both classes. */
			if (ELF64_ST_TYPE(s.info) != STT_FUNC || !s.value || s.value > address)
				continue;
			if (s.size && address - s.value >= s.size)
				continue;
			if (!found || s.value >= ret->value) {
				*ret = s;
				found = true;
			}
		}
	}
	return found;
}

/* The name is the program's: nothing but a regular file is opened for it. */
static int symbol_open_file(const char *path)
{
	_cleanup_close_ int fd = sys_open(path, O_PATH | O_CLOEXEC, 0);
	char again[48];
	struct stat st;
	int r = fd < 0 ? fd : sys_fstat(fd, &st);

	if (r < 0)
		return r;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	(void)snprintf(again, sizeof(again), "/proc/self/fd/%d", fd);
	return sys_open(again, O_RDONLY | O_CLOEXEC, 0);
}

void symbol_find(const char *path, uint64_t offset, char *ret, size_t size)
{
	_cleanup_close_ int fd = symbol_open_file(path);
	struct symbol_file f = { .fd = fd };
	struct symbol_section s, names;
	struct symbol_entry entry;
	char name[SYMBOL_NAME_MAX];
	uint64_t address;
	ssize_t n;

	ret[0] = '\0';
	if (fd < 0 || !symbol_open(&f) || !symbol_address(&f, offset, &address))
		return;
	for (int pass = 0; pass < 2; pass++) {
		uint32_t type = pass ? SHT_DYNSYM : SHT_SYMTAB;

		for (unsigned i = 0; i < f.shn; i++) {
			if (!symbol_section(&f, i, &s) || s.type != type ||
			    !symbol_in(&f, &s, address, &entry) ||
			    !symbol_section(&f, s.link, &names) || entry.name >= names.size)
				continue;
			n = sys_pread(fd, name, sizeof(name) - 1, names.offset + entry.name);
			name[n > 0 ? n : 0] = '\0';
			for (char *c = name; *c; c++) /* it goes to terminals */
				if (*c < ' ' || *c > '~')
					*c = '?';
			(void)snprintf(ret, size, "%s+0x%" PRIx64, name, address - entry.value);
			return;
		}
	}
}
