/* SPDX-License-Identifier: MIT */
#include "dump/note.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dump/names.h"
#include "sys/sys.h"

/* A piece of ELF notes and what stands around it. */
#define NOTE_RECORD_MAX (CRIU_ELF_PIECE + 64)

static int note_fail(const struct note *n, int r, struct err *e)
{
	return err_wrap(e, r, "%s", n->name);
}

static int note_record(struct note *n, struct criu_note *ret, struct err *e)
{
	const void *body;
	size_t len;
	int r = records_next(&n->records, &body, &len, e);

	if (r == 1) {
		r = criu_get_note(body, len, n->scratch, ret, e);
		r = r < 0 ? r : 1;
	}
	return r < 0 ? note_fail(n, r, e) : r;
}

int note_open(struct note *n, const struct chain *c, unsigned level, uint64_t pid,
	      struct err *reterr)
{
	struct criu_note first = { .kind = CRIU_NOTE_OTHER };
	int r;

	*n = (struct note){ .records = RECORDS_INIT };
	names_note(n->name, pid);
	r = records_open(&n->records, c->levels[level].fd, n->name, CRIU_NOTE, NOTE_RECORD_MAX,
			 reterr);
	if (r < 0)
		return r;
	n->scratch = sys_malloc(CRIU_NOTE_SCRATCH);
	r = n->scratch ? note_record(n, &first, reterr) :
			 err_set(reterr, -ENOMEM, "%s: out of memory", n->name);
	if (r >= 0)
		r = r == 1 && first.kind == CRIU_NOTE_HEAD ? 0 :
		    err_set(reterr, -EBADMSG, "%s: has no head", n->name);
	if (r == 0 && first.head.pid != pid)
		r = err_set(reterr, -EBADMSG, "%s: is that of process %" PRIu32, n->name,
			    first.head.pid);
	n->head = first.head;
	if (r < 0)
		note_close(n);
	return r;
}

static int note_end(struct note *n, const struct criu_note *end, struct err *e)
{
	if (end->mappings_n != n->mappings_n || end->elf_bytes != n->elf_bytes)
		return err_set(e, -EBADMSG, "%s: parts of it are missing", n->name);
	n->complete = true;
	return 0;
}

int note_next(struct note *n, struct criu_note *ret, struct err *reterr)
{
	int r;

	while ((r = note_record(n, ret, reterr)) == 1) {
		switch (ret->kind) {
		case CRIU_NOTE_MAPPING:
			if (ret->mapping.start < n->end)
				return err_set(reterr, -EBADMSG, "%s: mappings overlap at %" PRIx64,
					       n->name, ret->mapping.start);
			if (++n->mappings_n > NOTE_MAPPINGS_MAX)
				return err_set(reterr, -EFBIG, "%s: too many mappings", n->name);
			n->end = ret->mapping.end;
			return 1;
		case CRIU_NOTE_ELF:
			n->elf_bytes += ret->elf_len;
			if (n->elf_bytes > NOTE_ELF_MAX)
				return err_set(reterr, -EFBIG, "%s: too many ELF notes", n->name);
			return 1;
		case CRIU_NOTE_END:
			return note_end(n, ret, reterr);
		default:
			break;   /* of a later version */
		}
	}
	return r < 0 ? r : err_set(reterr, -EBADMSG, "%s: is cut off: its end is missing", n->name);
}

void note_close(struct note *n)
{
	records_close(&n->records);
	free(n->scratch);
	n->scratch = NULL;
}
