/* SPDX-License-Identifier: MIT */
/* Part of test_core_file: reading cores, and comparing two of them. */
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/core.h"
#include "lib/kit.h"
#include "process/maps.h"
#include "process/procfs.h"
#include "system/twin.h"
#include "tap.h"

static uint32_t word(const unsigned char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void read_notes(struct twin_core *c, unsigned char *p, size_t len)
{
	pid_t tid = 0;
	size_t at = 0;

	while (at + 12 <= len) {
		struct twin_note *n = &c->notes[c->notes_n++];
		uint32_t name_len = word(p + at);

		need(c->notes_n < TWIN_NOTES_MAX && name_len <= sizeof(n->name), "notes");
		n->len = word(p + at + 4);
		n->type = word(p + at + 8);
		memcpy(n->name, p + at + 12, name_len);
		at += 12 + ((name_len + 3) & ~3u);
		n->data = p + at;
		at += (n->len + 3) & ~3u;
		if (n->type == NT_PRSTATUS)
			tid = ((const struct elf_prstatus *)(const void *)n->data)->pr_pid;
		n->tid = n->type == NT_X86_XSAVE_LAYOUT ? 0 : tid; /* of all */
	}
}

void twin_read(struct twin_core *c, const char *path)
{
	int fd = kit_must(open(path, O_RDONLY | O_CLOEXEC));
	const Elf64_Ehdr *eh;
	const Elf64_Phdr *ph;
	struct stat st;

	kit_must(fstat(fd, &st));
	memset(c, 0, sizeof(*c));
	c->len = (size_t)st.st_size;
	c->data = kit_must(mmap(NULL, c->len, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	close(fd);
	eh = (const void *)c->data;
	ph = (const void *)(c->data + eh->e_phoff);
	need(c->len > sizeof(*eh) && ph->p_type == PT_NOTE, "%s begins with its notes", path);
	read_notes(c, c->data + ph->p_offset, ph->p_filesz);
	c->loads = ph + 1;
	c->loads_n = eh->e_phnum - 1u;
}

static const struct twin_note *find_note(const struct twin_core *c, const struct twin_note *like)
{
	for (unsigned i = 0; i < c->notes_n; i++)
		if (c->notes[i].type == like->type && c->notes[i].tid == like->tid &&
		    strcmp(c->notes[i].name, like->name) == 0)
			return &c->notes[i];
	return NULL;
}

/* ---------------------------------------------------------------- comparing */

static uint64_t time_us(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * 1000000 + (uint64_t)t->tv_usec;
}

/* What may differ is made the same: clocks, and what dying itself changes. */
static void is_prstatus(const struct twin_note *kernel, const struct twin_note *own)
{
	struct elf_prstatus k, o;
	uint64_t ours_us, theirs_us;

	memcpy(&k, kernel->data, sizeof(k));
	memcpy(&o, own->data, sizeof(o));
	ours_us = time_us(&o.pr_utime) + time_us(&o.pr_stime);
	theirs_us = time_us(&k.pr_utime) + time_us(&k.pr_stime);
	if (own->tid == twin_pid)
		ok(ours_us + 100000 > theirs_us && ours_us < theirs_us + 100000,
		   "CPU time: %ju us, the kernel says %ju us", (uintmax_t)ours_us,
		   (uintmax_t)theirs_us);
	memset(&k.pr_utime, 0, 2 * sizeof(k.pr_utime));
	memset(&o.pr_utime, 0, 2 * sizeof(o.pr_utime));
	k.pr_sigpend &= ~(1ul << (SIGKILL - 1));
	is_mem(&o.pr_reg, &k.pr_reg, sizeof(k.pr_reg), "registers of thread %d", (int)own->tid);
	is_mem(&o, &k, sizeof(k), "PRSTATUS of thread %d", (int)own->tid);
}

static void is_prpsinfo(const struct twin_note *kernel, const struct twin_note *own)
{
	struct elf_prpsinfo k, o;

	memcpy(&k, kernel->data, sizeof(k));
	memcpy(&o, own->data, sizeof(o));
	ok(k.pr_sname == 'R' && o.pr_sname == 'T', "it runs when it dies; we stopped it");
	k.pr_state = o.pr_state;
	k.pr_sname = o.pr_sname;
	is_int(k.pr_flag & ~0x600ul, o.pr_flag & ~0x600ul,
	       "flags but for PF_DUMPCORE and PF_SIGNALED");
	k.pr_flag = o.pr_flag;
	is_mem(&o, &k, sizeof(k), "PRPSINFO");
}

/* Kernels before 6.12 do not say how their XSTATE is laid out. */
static bool kernel_has_layout(const struct twin_core *kernel)
{
	for (unsigned i = 0; i < kernel->notes_n; i++)
		if (kernel->notes[i].type == NT_X86_XSAVE_LAYOUT)
			return true;
	return false;
}

void twin_compare_notes(const struct twin_core *kernel, const struct twin_core *own)
{
	for (unsigned i = 0; i < kernel->notes_n; i++) {
		const struct twin_note *k = &kernel->notes[i], *o = find_note(own, k);
		uint32_t len = o && o->len < k->len ? o->len : k->len;

		if (!ok(o, "%s %#x of thread %d is there", k->name, k->type, (int)k->tid))
			continue;
		if (k->type == NT_PRSTATUS) {
			is_prstatus(k, o);
		} else if (k->type == NT_PRPSINFO) {
			is_prpsinfo(k, o);
		} else {
			/* Of the vector state ptrace gives more than the kernel's cores have. */
			ok(o->len == k->len || k->type == NT_X86_XSTATE,
			   "  its length: %u, the kernel's %u", o->len, k->len);
			is_mem(o->data, k->data, len, "  its contents");
		}
	}
	for (unsigned i = 0; i < own->notes_n; i++)
		if (own->notes[i].type != CORE_NOTE_TYPE &&
		    (own->notes[i].type != NT_X86_XSAVE_LAYOUT || kernel_has_layout(kernel)))
			ok(find_note(kernel, &own->notes[i]), "%#x of thread %d is in the kernel's",
			   own->notes[i].type, (int)own->notes[i].tid);
}

/* The order of notes, but not that of the threads behind the first. */
void twin_compare_order(const struct twin_core *kernel, const struct twin_core *own)
{
	unsigned i = 0, n = kernel->notes_n < own->notes_n ? kernel->notes_n : own->notes_n;

	while (i < n && kernel->notes[i].type == own->notes[i].type)
		i++;
	ok(i == n || own->notes[i].type == CORE_NOTE_TYPE,
	   "the order is the kernel's: %u of %u notes", i, n);
	is_int(own->notes[0].tid, twin_pid, "the main thread is the first");
}

static void diag_load(const char *whose, const Elf64_Phdr *p)
{
	diag("%s: %jx-%jx flags %x, %jx bytes", whose, (uintmax_t)p->p_vaddr,
	     (uintmax_t)(p->p_vaddr + p->p_memsz), p->p_flags, (uintmax_t)p->p_filesz);
}

/*
 * What is anonymous, writable and was never written to is a hole of ours.  What
 * nobody may touch and where no page is has no bytes.
 */
static bool is_right_difference(const struct vma *v, const Elf64_Phdr *kernel,
				const Elf64_Phdr *own)
{
	if (!v || kernel->p_memsz != own->p_memsz)
		return false;
	if (v->flags & VMA_SPECIAL || !(v->flags & (VMA_READ | VMA_ANON)))
		return own->p_filesz == 0;
	return kernel->p_filesz == 0 && v->flags & VMA_WRITE && !(v->flags & VMA_FILE);
}

/* Memory that the test shares with the victim goes on changing. */
static bool is_same_memory(const struct twin_core *kernel, const Elf64_Phdr *k,
			   const struct twin_core *own, const Elf64_Phdr *o)
{
	const struct vma *v = maps_find(&twin_maps, o->p_vaddr);
	size_t len = o->p_filesz < k->p_filesz ? o->p_filesz : k->p_filesz;

	return (v && v->flags & VMA_SHARED && v->flags & VMA_DELETED) ||
	       memcmp(own->data + o->p_offset, kernel->data + k->p_offset, len) == 0;
}

void twin_compare_loads(const struct twin_core *kernel, const struct twin_core *own)
{
	unsigned wrong = 0, different = 0, bytes = 0;

	is_int(own->loads_n, kernel->loads_n, "as many segments");
	for (unsigned i = 0; i < kernel->loads_n && i < own->loads_n; i++) {
		const Elf64_Phdr *k = &kernel->loads[i], *o = &own->loads[i];

		if (k->p_vaddr != o->p_vaddr || k->p_memsz != o->p_memsz ||
		    k->p_flags != o->p_flags || k->p_align != o->p_align ||
		    k->p_filesz != o->p_filesz) {
			if (is_right_difference(maps_find(&twin_maps, o->p_vaddr), k, o)) {
				different++;
				continue;
			}
			diag_load("kernel", k);
			diag_load("ours", o);
			wrong++;
		}
		if (!is_same_memory(kernel, k, own, o)) {
			diag_load("other contents", o);
			wrong++;
		}
		bytes += o->p_filesz != 0;
	}
	is_int(wrong, 0, "all segments and their memory are as in the kernel's");
	ok(different < 8 && bytes > 8, "  %u with bytes, %u with more or fewer for a reason", bytes,
	   different);
}
