/* SPDX-License-Identifier: MIT */
/* The records of decant-PID.img: what a final image has beyond pages. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "image/criu.h"
#include "image/criu.pb-c.h"
#include "image/criu_pack.h"

#define NOTE_VERSION 1
#define NOTE_MAPPING_FLAGS (CRIU_MAP_READ | CRIU_MAP_WRITE | CRIU_MAP_EXEC | CRIU_MAP_SHARED | \
			    CRIU_MAP_FILE | CRIU_MAP_SHMEM)

void criu_put_note_head(struct buf *ret, const struct criu_note_head *h)
{
	Criu__NoteHead head = CRIU__NOTE_HEAD__INIT;
	Criu__Note m = CRIU__NOTE__INIT;
	char tracking[sizeof(h->tracking)], version[sizeof(h->version)];

	memcpy(tracking, h->tracking, sizeof(tracking));
	memcpy(version, h->version, sizeof(version));
	head.version = NOTE_VERSION;
	head.pid = h->pid;
	head.has_host_pid = true;
	head.host_pid = h->host_pid;
	head.page_size = CRIU_PAGE;
	head.machine = h->machine;
	head.has_time_ns = true;
	head.time_ns = h->time_ns;
	head.tracking = tracking;
	head.version_text = version;
	m.head = &head;
	criu_pack(ret, &m.base);
}

void criu_put_note_mapping(struct buf *ret, const struct criu_mapping *map)
{
	Criu__NoteMapping mapping = CRIU__NOTE_MAPPING__INIT;
	unsigned char name[CRIU_NAME_MAX];
	Criu__Note m = CRIU__NOTE__INIT;

	mapping.start = map->start;
	mapping.end = map->end;
	mapping.flags = map->flags;
	mapping.has_file_offset = map->file_offset != 0;
	mapping.file_offset = map->file_offset;
	mapping.has_dev = mapping.has_ino = map->flags & CRIU_MAP_FILE || map->ino;
	mapping.dev = map->dev;
	mapping.ino = map->ino;
	mapping.has_shmid = map->flags & CRIU_MAP_SHMEM;
	mapping.shmid = map->shmid;
	mapping.has_name = map->name_len != 0;
	/* A longer one cannot be a path that anybody can open. */
	mapping.name.len = map->name_len < sizeof(name) ? map->name_len : sizeof(name);
	if (mapping.has_name)
		memcpy(name, map->name, mapping.name.len);
	mapping.name.data = name;
	m.mapping = &mapping;
	criu_pack(ret, &m.base);
}

void criu_put_note_elf(struct buf *ret, const void *data, size_t len)
{
	Criu__Note m = CRIU__NOTE__INIT;

	assert(len <= CRIU_ELF_PIECE);
	m.has_elf = true;
	m.elf.len = len;
	/* Only read by protobuf-c. */
	m.elf.data = (uint8_t *)(uintptr_t)data;
	criu_pack(ret, &m.base);
}

void criu_put_note_end(struct buf *ret, uint64_t mappings_n, uint64_t elf_bytes)
{
	Criu__NoteEnd end = CRIU__NOTE_END__INIT;
	Criu__Note m = CRIU__NOTE__INIT;

	end.mappings = mappings_n;
	end.elf_bytes = elf_bytes;
	m.end = &end;
	criu_pack(ret, &m.base);
}

/* ----------------------------------------------------------------- reading */

static int note_get_head(const Criu__NoteHead *m, struct criu_note_head *ret, struct err *reterr)
{
	if (m->version != NOTE_VERSION)
		return err_set(reterr, -ENOTSUP, "note: version %u is not known here", m->version);
	if (m->page_size != CRIU_PAGE)
		return err_set(reterr, -ENOTSUP, "note: pages of %u bytes", m->page_size);
	*ret = (struct criu_note_head){
		.pid = m->pid, .machine = m->machine,
		.host_pid = m->has_host_pid ? m->host_pid : 0,
		.time_ns = m->has_time_ns ? m->time_ns : 0,
	};
	(void)snprintf(ret->tracking, sizeof(ret->tracking), "%s", m->tracking ? m->tracking : "");
	(void)snprintf(ret->version, sizeof(ret->version), "%s",
		       m->version_text ? m->version_text : "");
	return 0;
}

static int note_get_mapping(const Criu__NoteMapping *m, struct criu_mapping *ret,
			    struct err *reterr)
{
	/* [vsyscall] lies in the kernel's half. */
	if (m->start >= m->end || (m->start | m->end) % CRIU_PAGE)
		return err_set(reterr, -EBADMSG, "note: %" PRIx64 "-%" PRIx64 " is no mapping",
			       m->start, m->end);
	if (m->flags & ~(uint32_t)NOTE_MAPPING_FLAGS)
		return err_set(reterr, -ENOTSUP, "note: %" PRIx64 ": flags %#x are not known here",
			       m->start, m->flags);
	if (m->has_name && m->name.len > CRIU_NAME_MAX)
		return err_set(reterr, -EBADMSG, "note: %" PRIx64 ": a name of %zu bytes",
			       m->start, m->name.len);
	*ret = (struct criu_mapping){
		.start = m->start, .end = m->end, .flags = m->flags,
		.file_offset = m->has_file_offset ? m->file_offset : 0,
		.dev = m->has_dev ? m->dev : 0, .ino = m->has_ino ? m->ino : 0,
		.shmid = m->has_shmid ? m->shmid : 0,
		.name = m->has_name ? (const char *)m->name.data : "",
		.name_len = m->has_name ? m->name.len : 0,
	};
	return 0;
}

int criu_get_note(const void *body, size_t len, void *scratch, struct criu_note *ret,
		  struct err *reterr)
{
	struct criu_arena arena = { scratch, CRIU_NOTE_SCRATCH, 0, false };
	struct criu_note note = { .kind = CRIU_NOTE_OTHER };
	const Criu__Note *m;
	int r = 0;

	m = criu_unpack(&criu__note__descriptor, &arena, body, len, "note", &r, reterr);
	if (!m)
		return r;
	if (m->head) {
		note.kind = CRIU_NOTE_HEAD;
		r = note_get_head(m->head, &note.head, reterr);
	} else if (m->mapping) {
		note.kind = CRIU_NOTE_MAPPING;
		r = note_get_mapping(m->mapping, &note.mapping, reterr);
	} else if (m->has_elf) {
		note.kind = CRIU_NOTE_ELF;
		note.elf = m->elf.data;
		note.elf_len = m->elf.len;
	} else if (m->end) {
		note.kind = CRIU_NOTE_END;
		note.mappings_n = m->end->mappings;
		note.elf_bytes = m->end->elf_bytes;
	}
	if (r == 0)
		*ret = note;
	return r;
}
