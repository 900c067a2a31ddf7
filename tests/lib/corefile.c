/* SPDX-License-Identifier: MIT */
#include "lib/corefile.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <unistd.h>

#define CORE_SEGMENTS_MAX 1000000

static bool corefile_wrong(struct corefile *c, const char *why)
{
	snprintf(c->why, sizeof(c->why), "%s", why);
	return false;
}

static const void *corefile_bytes(const struct corefile *c, uint64_t offset, uint64_t len)
{
	if (offset > c->len || len > c->len - offset)
		return NULL;
	return c->map + offset;
}

/* Notes of a thread follow its PRSTATUS. */
static bool corefile_take(struct corefile *c, const struct corefile_note *note)
{
	struct corefile_thread *t = c->threads_n ? &c->threads[c->threads_n - 1] : NULL;
	struct elf_prstatus status;

	if (note->type == NT_PRSTATUS && strcmp(note->name, "CORE") == 0) {
		if (note->len != sizeof(status))
			return corefile_wrong(c, "a PRSTATUS of another size");
		/* Notes are aligned to 4 bytes only. */
		memcpy(&status, note->data, sizeof(status));
		t = &c->threads[c->threads_n++];
		memset(t, 0, sizeof(*t));
		t->tid = status.pr_pid;
		t->cursig = status.pr_info.si_signo;
		memcpy(&t->regs, &status.pr_reg, sizeof(t->regs));
		t->regs_at = note->data + offsetof(struct elf_prstatus, pr_reg);
		return true;
	}
	if (!t)
		return true;
	if (note->type == NT_FPREGSET && note->len >= sizeof(t->fp)) {
		memcpy(&t->fp, note->data, sizeof(t->fp));
		t->has_fp = true;
	}
	if (note->type == NT_X86_XSTATE && strcmp(note->name, "LINUX") == 0) {
		t->xstate = note->data;
		t->xstate_len = note->len;
	}
	if (note->type == NT_SIGINFO)
		t->siginfo = note->data;
	return true;
}

static bool corefile_notes(struct corefile *c, uint64_t offset, uint64_t len)
{
	const unsigned char *p = corefile_bytes(c, offset, len), *end;

	if (!p)
		return corefile_wrong(c, "notes behind the end of the file");
	/* The smallest note has 12 bytes. */
	c->notes = calloc(len / 12 + 1, sizeof(*c->notes));
	c->threads = calloc(len / sizeof(struct elf_prstatus) + 1, sizeof(*c->threads));
	for (end = p + len; end - p >= 12;) {
		const Elf64_Nhdr *h = (const void *)p;
		uint64_t name = ((uint64_t)h->n_namesz + 3) & ~3ULL;
		uint64_t data = ((uint64_t)h->n_descsz + 3) & ~3ULL;
		struct corefile_note *note = &c->notes[c->notes_n];

		p += sizeof(*h);
		if (name == 0 || name > (uint64_t)(end - p) || data > (uint64_t)(end - p) - name ||
		    p[h->n_namesz - 1] != 0)
			return corefile_wrong(c, "a note that is longer than the notes");
		*note = (struct corefile_note){ (const char *)p, h->n_type, h->n_descsz, p + name };
		p += name + data;
		c->notes_n++;
		if (!corefile_take(c, note))
			return false;
	}
	return c->threads_n ? true : corefile_wrong(c, "no thread");
}

static bool corefile_segments(struct corefile *c, const Elf64_Phdr *ph, uint64_t n)
{
	struct corefile_segment *s;
	uint64_t i;

	c->segments = calloc(n + 1, sizeof(*c->segments));
	for (i = 0; i < n; i++) {
		if (ph[i].p_type == PT_NOTE && !c->notes &&
		    !corefile_notes(c, ph[i].p_offset, ph[i].p_filesz))
			return false;
		if (ph[i].p_type != PT_LOAD)
			continue;
		s = &c->segments[c->segments_n++];
		*s = (struct corefile_segment){ ph[i].p_vaddr, ph[i].p_vaddr + ph[i].p_memsz,
			ph[i].p_offset, ph[i].p_filesz, ph[i].p_flags };
		if (s->end < s->start || s->filesz > s->end - s->start)
			return corefile_wrong(c, "a segment with more in the file than in memory");
		if (s->filesz && !corefile_bytes(c, s->offset, s->filesz))
			return corefile_wrong(c, "a segment behind the end of the file");
		if (c->segments_n > 1 && s->start < s[-1].end)
			return corefile_wrong(c, "segments that overlap or do not ascend");
	}
	return c->notes ? true : corefile_wrong(c, "no notes");
}

static bool corefile_headers(struct corefile *c)
{
	const Elf64_Ehdr *e = corefile_bytes(c, 0, sizeof(*e));
	const Elf64_Shdr *sh;
	const Elf64_Phdr *ph;
	uint64_t n;

	if (!e || memcmp(e->e_ident, ELFMAG, SELFMAG) != 0 || e->e_type != ET_CORE ||
	    e->e_ident[EI_CLASS] != ELFCLASS64 || e->e_phentsize != sizeof(*ph))
		return corefile_wrong(c, "not a 64-bit ELF core");
	n = e->e_phnum;
	if (n == PN_XNUM) {
		sh = corefile_bytes(c, e->e_shoff, sizeof(*sh));
		if (!sh || e->e_shnum < 1)
			return corefile_wrong(c, "PN_XNUM without a section header");
		n = sh->sh_info;
	}
	if (n > CORE_SEGMENTS_MAX)
		return corefile_wrong(c, "more segments than can be");
	ph = corefile_bytes(c, e->e_phoff, n * sizeof(*ph));
	if (!ph)
		return corefile_wrong(c, "program headers behind the end of the file");
	return corefile_segments(c, ph, n);
}

bool corefile_open_fd(struct corefile *c, int fd)
{
	struct stat st;

	memset(c, 0, sizeof(*c));
	if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0)
		return corefile_wrong(c, "no such file, or an empty one");
	c->map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (c->map == MAP_FAILED) {
		c->map = NULL;
		return corefile_wrong(c, "cannot be mapped");
	}
	c->len = (uint64_t)st.st_size;
	return corefile_headers(c);
}

bool corefile_open(struct corefile *c, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool good = corefile_open_fd(c, fd);

	if (fd >= 0)
		close(fd);
	return good;
}

void corefile_close(struct corefile *c)
{
	if (c->map)
		munmap(c->map, c->len);
	free(c->segments);
	free(c->threads);
	free(c->notes);
	memset(c, 0, sizeof(*c));
}

const struct corefile_segment *corefile_at(const struct corefile *c, uint64_t addr)
{
	size_t low = 0, high = c->segments_n, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (c->segments[mid].end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low < c->segments_n && c->segments[low].start <= addr ? &c->segments[low] : NULL;
}

const void *corefile_memory(const struct corefile *c, uint64_t addr, uint64_t len)
{
	const struct corefile_segment *s = corefile_at(c, addr);

	if (!s || addr - s->start > s->filesz || len > s->filesz - (addr - s->start))
		return NULL;
	return c->map + s->offset + (addr - s->start);
}

const struct corefile_thread *corefile_thread(const struct corefile *c, int32_t tid)
{
	size_t i;

	for (i = 0; i < c->threads_n; i++)
		if (c->threads[i].tid == tid)
			return &c->threads[i];
	return NULL;
}

const struct corefile_note *corefile_note(const struct corefile *c, const char *name,
					  uint32_t type)
{
	size_t i;

	for (i = 0; i < c->notes_n; i++)
		if (c->notes[i].type == type && strcmp(c->notes[i].name, name) == 0)
			return &c->notes[i];
	return NULL;
}
