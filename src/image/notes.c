/* SPDX-License-Identifier: MIT */
/* Notes: what the kernel's fs/binfmt_elf.c writes, field by field, and ours. */
#include <assert.h>
#include <elf.h>
#include <string.h>
#include <sys/procfs.h>
#include <unistd.h>

#include "image/core.h"

static_assert(sizeof(((struct elf_prstatus *)NULL)->pr_reg) <= ARCH_REGS_MAX,
	      "registers of a note fit");
#ifdef __x86_64__
static_assert(sizeof(struct elf_prstatus) == 336 && sizeof(struct elf_prpsinfo) == 136,
	      "the kernel's sizes");
#endif
static_assert(sizeof(siginfo_t) == 128, "the kernel's size");

static void notes_pad(struct buf *b)
{
	while (b->len % 4 && !b->error)
		buf_putc(b, '\0');
}

/* Notes of cores are padded to 4 bytes in 64-bit files too. */
static void notes_head(struct buf *b, const char *name, uint32_t type, size_t len)
{
	Elf64_Nhdr nh = { .n_namesz = (uint32_t)strlen(name) + 1, .n_descsz = (uint32_t)len,
			  .n_type = type };

	buf_append(b, &nh, sizeof(nh));
	buf_append(b, name, nh.n_namesz);
	notes_pad(b);
}

static void notes_add(struct buf *b, const char *name, uint32_t type, const void *data,
		      size_t len)
{
	notes_head(b, name, type, len);
	buf_append(b, data, len);
	notes_pad(b);
}

static struct timeval notes_time(uint64_t ticks)
{
	uint64_t hz = (uint64_t)sysconf(_SC_CLK_TCK);

	return (struct timeval){ .tv_sec = (time_t)(ticks / hz),
				 .tv_usec = (suseconds_t)(ticks % hz * 1000000 / hz) };
}

static bool notes_has_fp(const struct core_thread *t)
{
	for (unsigned i = 0; i < t->notes_n; i++)
		if (t->notes[i].type == NT_FPREGSET && t->notes[i].len)
			return true;
	return false;
}

static void notes_prstatus(struct buf *b, const struct core_process *p,
			   const struct core_thread *t)
{
	struct elf_prstatus s;
	size_t len = t->regs->len < sizeof(s.pr_reg) ? t->regs->len : sizeof(s.pr_reg);

	/* Padding is written too: no bytes of ours may be in it. */
	memset(&s, 0, sizeof(s));
	s.pr_info.si_signo = t->cursig;
	s.pr_cursig = (short)t->cursig;
	s.pr_sigpend = t->sigpend;
	s.pr_sighold = t->sighold;
	s.pr_pid = t->tid;
	s.pr_ppid = t->ppid;
	s.pr_pgrp = t->pgrp;
	s.pr_sid = t->sid;
	/* The leader's are those of the process, as in /proc/PID/stat. */
	if (t->tid == p->pid) {
		s.pr_utime = notes_time(p->stat.utime_ticks);
		s.pr_stime = notes_time(p->stat.stime_ticks);
	}
	s.pr_cutime = notes_time(p->stat.cutime_ticks);
	s.pr_cstime = notes_time(p->stat.cstime_ticks);
	memcpy(&s.pr_reg, t->regs->data, len);
	s.pr_fpvalid = notes_has_fp(t);
	notes_add(b, "CORE", NT_PRSTATUS, &s, sizeof(s));
}

/* The kernel's letter and number of a state; a thread that we stopped is stopped. */
static void notes_state(struct elf_prpsinfo *s, char state)
{
	static const char letters[] = "RSDTZW";
	const char *found = strchr(letters, state == 't' ? 'T' : state);

	s->pr_state = found && *found ? (char)(found - letters) : (char)sizeof(letters);
	s->pr_sname = found && *found ? *found : '.';
	s->pr_zomb = s->pr_sname == 'Z';
}

static void notes_prpsinfo(struct buf *b, const struct core_process *p)
{
	struct elf_prpsinfo s;

	memset(&s, 0, sizeof(s));
	notes_state(&s, p->stat.state);
	s.pr_nice = (char)p->stat.nice;
	s.pr_flag = p->stat.flags;
	s.pr_uid = p->status.uid[0];
	s.pr_gid = p->status.gid[0];
	s.pr_pid = p->pid;
	s.pr_ppid = p->ppid;
	s.pr_pgrp = p->pgrp;
	s.pr_sid = p->sid;
	memcpy(s.pr_fname, p->stat.comm, strnlen(p->stat.comm, sizeof(s.pr_fname) - 1));
	if (p->args)
		memcpy(s.pr_psargs, p->args, strnlen(p->args, sizeof(s.pr_psargs) - 1));
	notes_add(b, "CORE", NT_PRPSINFO, &s, sizeof(s));
}

static bool notes_is_file(const struct maps *m, const struct vma *v)
{
	return v->flags & VMA_FILE && maps_name(m, v)[0];
}

/*
 * NT_FILE: count, unit of offsets, {start, end, offset} each, then the names.
 * Mapped files of any number: the kernel's limit of 4 MiB is not ours.
 */
static void notes_file(struct buf *b, const struct maps *m)
{
	uint64_t head[2] = { 0, CORE_PAGE };
	size_t names = 0;

	for (size_t i = 0; i < m->n; i++)
		if (notes_is_file(m, &m->v[i])) {
			head[0]++;
			names += strlen(maps_name(m, &m->v[i])) + 1;
		}
	notes_head(b, "CORE", NT_FILE, sizeof(head) + head[0] * 3 * sizeof(uint64_t) + names);
	buf_append(b, head, sizeof(head));
	for (size_t i = 0; i < m->n; i++) {
		const struct vma *v = &m->v[i];
		uint64_t row[3] = { v->start, v->end, v->file_offset / CORE_PAGE };

		if (notes_is_file(m, v))
			buf_append(b, row, sizeof(row));
	}
	for (size_t i = 0; i < m->n; i++)
		if (notes_is_file(m, &m->v[i]))
			buf_append(b, maps_name(m, &m->v[i]),
				   strlen(maps_name(m, &m->v[i])) + 1);
	notes_pad(b);
}

static void notes_siginfo(struct buf *b, const struct core_thread *t)
{
	if (t->siginfo)
		notes_add(b, "CORE", NT_SIGINFO, t->siginfo, sizeof(*t->siginfo));
}

/* Of what PTRACE_GETREGSET gives only this one is older than Linux's own names. */
static void notes_registers(struct buf *b, const struct core_thread *t)
{
	for (unsigned i = 0; i < t->notes_n; i++)
		if (t->notes[i].len)
			notes_add(b, t->notes[i].type == NT_FPREGSET ? "CORE" : "LINUX",
				  t->notes[i].type, t->notes[i].data, t->notes[i].len);
}

static void notes_layout(struct buf *b, const struct core_thread *t)
{
	unsigned char layout[ARCH_LAYOUT_MAX];
	uint32_t type;
	size_t len = arch_layout_note(t->notes, t->notes_n, &type, layout);

	if (len)
		notes_add(b, "LINUX", type, layout, len);
}

void core_notes(struct buf *ret, const struct core_process *p, const struct core_thread *threads,
		size_t n)
{
	for (size_t i = 0; i < n; i++) {
		notes_prstatus(ret, p, &threads[i]);
		if (i == 0) {
			notes_prpsinfo(ret, p);
			notes_siginfo(ret, &threads[i]);
			notes_add(ret, "CORE", NT_AUXV, p->auxv, p->auxv_len);
			notes_file(ret, p->maps);
		}
		notes_registers(ret, &threads[i]);
		if (i > 0)
			notes_siginfo(ret, &threads[i]);
	}
	if (n)
		notes_layout(ret, &threads[0]);
	if (p->own)
		notes_add(ret, CORE_NOTE_NAME, CORE_NOTE_TYPE, p->own, strlen(p->own));
}
