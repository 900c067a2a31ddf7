/* SPDX-License-Identifier: MIT */
/* One image file, record by record.  First byte: of which kind. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "image/criu.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
	if (!condition)
		abort();
}

/* What every reader promises. */
static void check_error(int r, const struct err *e)
{
	require(r == 0 || r == -EBADMSG || r == -ENOTSUP);
	require(r == 0 || e->text[0]);
}

static void check_entry(const void *body, size_t len)
{
	struct criu_entry entry, again;
	struct buf b = BUF_INIT;
	struct err e = { "" };
	const void *copy;
	size_t copy_len;
	int r = criu_get_entry(body, len, &entry, &e);

	check_error(r, &e);
	if (r < 0)
		return;
	require(entry.vaddr % CRIU_PAGE == 0 && entry.nr_pages > 0);
	require(entry.nr_pages <= CRIU_ADDRESS_MAX / CRIU_PAGE);
	require(criu_entry_end(&entry) > entry.vaddr && criu_entry_end(&entry) <= CRIU_ADDRESS_MAX);
	require(!(entry.flags & CRIU_PRESENT && entry.flags & CRIU_PARENT) && entry.flags);
	/* What was read can be written, and is the same then. */
	criu_put_entry(&b, &entry);
	require(criu_get_record(b.data, b.len, &copy, &copy_len, &e) == (int64_t)b.len);
	require(criu_get_entry(copy, copy_len, &again, &e) == 0);
	require(again.vaddr == entry.vaddr && again.nr_pages == entry.nr_pages &&
		again.flags == entry.flags);
	buf_free(&b);
}

static void check_note(const void *body, size_t len, void *scratch)
{
	struct criu_note note;
	struct err e = { "" };
	int r = criu_get_note(body, len, scratch, &note, &e);

	check_error(r, &e);
	if (r < 0)
		return;
	if (note.kind == CRIU_NOTE_MAPPING) {
		require(note.mapping.start < note.mapping.end);
		require(note.mapping.name_len <= CRIU_NAME_MAX);
	}
	if (note.kind == CRIU_NOTE_ELF)
		require(note.elf_len <= len);
	if (note.kind == CRIU_NOTE_HEAD)
		require(memchr(note.head.tracking, 0, sizeof(note.head.tracking)) &&
			memchr(note.head.version, 0, sizeof(note.head.version)));
}

static void check_record(enum criu_kind kind, unsigned n, const void *body, size_t len,
			 void *scratch)
{
	struct criu_inventory inventory;
	struct criu_stats stats;
	struct err e = { "" };
	uint32_t id;

	if (kind == CRIU_PAGEMAP && n == 0)
		check_error(criu_get_head(body, len, &id, &e), &e);
	else if (kind == CRIU_PAGEMAP)
		check_entry(body, len);
	else if (kind == CRIU_INVENTORY)
		check_error(criu_get_inventory(body, len, &inventory, &e), &e);
	else if (kind == CRIU_STATS)
		check_error(criu_get_stats(body, len, &stats, &e), &e);
	else
		check_note(body, len, scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void *scratch;
	struct err e = { "" };
	enum criu_kind kind;
	unsigned n = 0;
	int magic;

	if (!scratch && !(scratch = malloc(CRIU_NOTE_SCRATCH)))
		return 0;
	if (size == 0)
		return 0;
	kind = data[0] % 4;
	data++;
	size--;
	magic = criu_get_magic(kind, data, size, &e);
	require(magic >= 0 || (magic == -EBADMSG && e.text[0]));
	if (magic <= 0)
		return 0;
	data += magic;
	size -= (size_t)magic;
	for (;; n++) {
		const void *body = NULL;
		size_t len = 0;
		int64_t used = criu_get_record(data, size, &body, &len, &e);

		require(used <= (int64_t)size && (used >= 0 || e.text[0]));
		if (used <= 0)
			return 0;
		require((const uint8_t *)body >= data && len <= size);
		check_record(kind, n, body, len, scratch);
		data += used;
		size -= (size_t)used;
	}
}
