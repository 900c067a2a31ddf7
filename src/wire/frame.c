/* SPDX-License-Identifier: MIT */
#include "wire/frame.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/checked.h"
#include "base/le.h"

#define FRAME_TYPE_BITS 8
#define FRAME_TYPE_PROCESS 1
#define FRAME_TYPE_SHMEM 2

unsigned frame_size(const void *first)
{
	return le64_load((const char *)first + 16) ? FRAME_OLD : FRAME_NEW;
}

void frame_get(struct frame *ret, unsigned size, const void *data)
{
	const char *p = data;
	uint32_t command = le32_load(p);

	*ret = (struct frame){ .command = (uint16_t)command, .flags = (uint16_t)(command >> 16) };
	if (size == FRAME_OLD) {
		ret->nr_pages = le32_load(p + 4);
		ret->vaddr = le64_load(p + 8);
		ret->dst_id = le64_load(p + 16);
	} else {
		ret->nr_pages = le64_load(p + 8);
		ret->vaddr = le64_load(p + 16);
		ret->dst_id = le64_load(p + 24);
	}
}

unsigned frame_put(const struct frame *f, unsigned size, void *data)
{
	char *p = data;

	le32_store(p, f->command | (uint32_t)f->flags << 16);
	if (size == FRAME_OLD) {
		assert(f->nr_pages <= UINT32_MAX);
		le32_store(p + 4, (uint32_t)f->nr_pages);
		le64_store(p + 8, f->vaddr);
		le64_store(p + 16, f->dst_id);
	} else {
		le32_store(p + 4, 0);
		le64_store(p + 8, f->nr_pages);
		le64_store(p + 16, f->vaddr);
		le64_store(p + 24, f->dst_id);
	}
	return size;
}

uint64_t frame_dst(enum dir_kind kind, uint64_t id)
{
	return id << FRAME_TYPE_BITS | (kind == DIR_SHMEM ? FRAME_TYPE_SHMEM : FRAME_TYPE_PROCESS);
}

/* ---------------------------------------------------------------- messages */

/* Numbers that CRIU has had for the two kinds over the years; servers take them all. */
static int message_whose(struct message *m, uint64_t dst_id, struct err *e)
{
	static const uint8_t process[] = { FRAME_TYPE_PROCESS, 10, 11, 16, 17 };
	static const uint8_t shmem[] = { FRAME_TYPE_SHMEM, 27, 28, 29, 32, 33, 34 };
	uint8_t type = (uint8_t)dst_id;

	m->id = dst_id >> FRAME_TYPE_BITS;
	if (memchr(process, type, sizeof(process)))
		m->of = DIR_PROCESS;
	else if (memchr(shmem, type, sizeof(shmem)))
		m->of = DIR_SHMEM;
	else
		return err_set(e, -EPROTO, "message: pages of kind %u are not known", type);
	if (m->of == DIR_PROCESS && (!m->id || m->id > INT32_MAX))
		return err_set(e, -EPROTO, "message: %" PRIu64 " is no process", m->id);
	return 0;
}

static int message_entry(struct message *m, const struct frame *f, uint32_t flags, struct err *e)
{
	uint64_t bytes, end;

	if (!flags || flags & ~(uint32_t)(CRIU_PARENT | CRIU_LAZY | CRIU_PRESENT) ||
	    (flags & CRIU_PARENT && flags & CRIU_PRESENT))
		return err_set(e, -EPROTO, "message: pages with flags %#x", flags);
	if (!f->nr_pages || f->vaddr % CRIU_PAGE || !checked_mul(f->nr_pages, CRIU_PAGE, &bytes) ||
	    !checked_add(f->vaddr, bytes, &end) || end > CRIU_ADDRESS_MAX)
		return err_set(e, -EPROTO, "message: %" PRIu64 " pages at %#" PRIx64 " are no "
			       "range of memory", f->nr_pages, f->vaddr);
	m->kind = MESSAGE_ENTRY;
	m->entry = (struct criu_entry){ f->vaddr, f->nr_pages, flags };
	return message_whose(m, f->dst_id, e);
}

int message_get(struct message *ret, const struct frame *f, struct err *reterr)
{
	struct message m = { .kind = MESSAGE_CLOSE };
	int r;

	if (f->flags && f->command != FRAME_ADD_F && f->command != FRAME_ADD_COMPRESSED)
		return err_set(reterr, -EPROTO, "message: command %#x with flags %#x", f->command,
			       f->flags);
	switch (f->command) {
	case FRAME_OPEN:
	case FRAME_OPEN2:
	case FRAME_PARENT:
		m.kind = f->command == FRAME_PARENT ? MESSAGE_PARENT : MESSAGE_OPEN;
		m.answer = f->command != FRAME_OPEN;
		r = message_whose(&m, f->dst_id, reterr);
		break;
	case FRAME_ADD:
		r = message_entry(&m, f, CRIU_PRESENT, reterr);
		break;
	case FRAME_HOLE:
		r = message_entry(&m, f, CRIU_PARENT, reterr);
		break;
	case FRAME_ADD_F:
		r = message_entry(&m, f, f->flags, reterr);
		break;
	case FRAME_CLOSE:
	case FRAME_FORCE_CLOSE:
		r = 0;
		break;
	case FRAME_GET:
		return err_set(reterr, -ENOTSUP, "message: asks for pages (lazy restore), which "
			       "are only taken here");
	case FRAME_ADD_COMPRESSED:
		return err_set(reterr, -ENOTSUP, "message: compressed pages");
	default:
		return err_set(reterr, -EPROTO, "message: %#x is no command", f->command);
	}
	if (r == 0)
		*ret = m;
	return r;
}
