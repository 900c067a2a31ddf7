/* SPDX-License-Identifier: MIT */
/* decant-PID.img of a final image. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "dump/names.h"
#include "predump/predump.h"
#include "sys/sys.h"

static void note_head(const struct predump *p, uint64_t time_ns, struct buf *b)
{
	struct criu_note_head h = {
		.pid = (uint32_t)p->id, .host_pid = (uint32_t)p->c.t->pid,
		.machine = arch_elf_machine, .time_ns = time_ns,
	};

	(void)snprintf(h.tracking, sizeof(h.tracking), "%s", p->report->tracking);
	(void)snprintf(h.version, sizeof(h.version), "%s", decant_version());
	criu_put_magic(b, CRIU_NOTE);
	criu_put_note_head(b, &h);
}

static void note_mapping(const struct predump *p, const struct vma *v, struct buf *b)
{
	struct criu_mapping m = {
		.start = v->start, .end = v->end, .file_offset = v->file_offset,
		.dev = v->dev, .ino = v->ino, .shmid = predump_shared_id(p, v),
		.flags = (v->flags & VMA_READ ? CRIU_MAP_READ : 0u) |
			 (v->flags & VMA_WRITE ? CRIU_MAP_WRITE : 0u) |
			 (v->flags & VMA_EXEC ? CRIU_MAP_EXEC : 0u) |
			 (v->flags & VMA_SHARED ? CRIU_MAP_SHARED : 0u),
		.name = maps_name(&p->c.maps, v),
	};

	while (m.name_len < CRIU_NAME_MAX && m.name[m.name_len])
		m.name_len++;
	/* What is not there is the file's; of devices and the kernel's own pages nothing is. */
	if (m.shmid)
		m.flags |= CRIU_MAP_SHMEM;
	else if (v->flags & (VMA_FILE | VMA_IO | VMA_UNREADABLE | VMA_SHARED))
		m.flags |= CRIU_MAP_FILE;
	criu_put_note_mapping(b, &m);
}

int predump_note(struct predump *p, struct dir *d)
{
	const struct capture *c = &p->c;
	struct buf b = BUF_INIT;
	char name[NAMES_MAX];
	uint64_t mappings_n = 0;
	struct stat st = { 0 };
	int r = capture_notes(&p->c);

	if (r < 0)
		return r;
	/* The directory was made right before the stop. */
	(void)sys_fstat(dir_fd(d), &st);
	note_head(p, (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec, &b);
	for (size_t i = 0; i < c->maps.n; i++) {
		/* [vsyscall] is the kernel's. */
		if (c->maps.v[i].end > CRIU_ADDRESS_MAX)
			continue;
		note_mapping(p, &c->maps.v[i], &b);
		mappings_n++;
	}
	for (size_t at = 0, len; at < c->notes.len; at += len) {
		len = min_u64(c->notes.len - at, CRIU_ELF_PIECE);
		criu_put_note_elf(&b, c->notes.data + at, len);
	}
	criu_put_note_end(&b, mappings_n, c->notes.len);
	names_note(name, p->id);
	r = b.error ? predump_fail(p, b.error, name) : dir_append(d, name, &b, &p->c.err);
	buf_free(&b);
	return r;
}
