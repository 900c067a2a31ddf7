/* SPDX-License-Identifier: MIT */
/*
 * The records of CRIU's memory images and of our own note file: bytes to
 * structures and back.  Pure: no file is opened here (that is dump/dir.h and
 * dump/chain.h), and nothing is allocated but what a struct buf grows.
 *
 * A file:  magic | (u32 length | protobuf record)*     all little endian
 *	pagemap-PID.img, pagemap-shmem-ID.img   a head, then entries by address
 *	pages-ID.img                            raw, no magic: PRESENT pages, in that order
 *	inventory.img, stats-dump               one record
 *	decant-PID.img                          see struct criu_note
 */
#ifndef IMAGE_CRIU_H
#define IMAGE_CRIU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define CRIU_PAGE 4096u

enum criu_kind {
	CRIU_INVENTORY,
	CRIU_PAGEMAP,
	CRIU_STATS,
	CRIU_NOTE,
};

/* Of an entry.  PRESENT and PARENT exclude each other; LAZY may come with either. */
enum criu_flag {
	CRIU_PARENT = 1,         /* the pages are in the parent image, at the same address */
	CRIU_LAZY = 2,           /* restored later; without PRESENT they are in no file */
	CRIU_PRESENT = 4,        /* nr_pages pages of pages-ID.img */
};

/* Addresses: of a process, or bytes from the start of a shared memory object. */
struct criu_entry {
	uint64_t vaddr, nr_pages;
	uint32_t flags;          /* enum criu_flag */
};

static inline uint64_t criu_entry_end(const struct criu_entry *e)
{
	return e->vaddr + e->nr_pages * CRIU_PAGE;
}

/* Limits of what is read: nothing larger is looked at, whatever a file says. */
#define CRIU_MAGIC_MAX 8
#define CRIU_RECORD_MAX (1u << 20)       /* bytes of a record */
#define CRIU_ADDRESS_MAX (UINT64_C(1) << 62)
#define CRIU_ENTRIES_MAX (UINT64_C(1) << 28)
#define CRIU_NAME_MAX 4096               /* of a mapping */
#define CRIU_ELF_PIECE (256u << 10)      /* of the ELF notes, per record, as we write them */

struct criu_inventory {
	uint32_t img_version;    /* 0 (CRIU's pre-dumps) to 3; ours is 2 */
	bool fdinfo_per_id;
	uint64_t dump_uptime_us; /* must be later than the process's start; 0: not said */
	uint32_t pre_dump_mode;  /* 0: not said, 1: splice, 2: read */
};

struct criu_stats {
	uint32_t freezing_us, frozen_us, memdump_us, memwrite_us;
	uint64_t pages_scanned, pages_skipped_parent, pages_written, pages_lazy;
	uint64_t page_pipes, page_pipe_bufs;
	uint64_t shpages_scanned, shpages_skipped_parent, shpages_written;
};

/* --------------------------------------------------------- our own note file */

/*
 * decant-PID.img: what a final image has beyond pages.  The ELF notes are
 * those of core_notes() at the instant: registers of all threads, AUXV, FILE.
 */
enum criu_mapping_flag {
	CRIU_MAP_READ = 1, CRIU_MAP_WRITE = 2, CRIU_MAP_EXEC = 4,
	CRIU_MAP_SHARED = 8,
	CRIU_MAP_FILE = 16,      /* pages that are in no image are the file's */
	CRIU_MAP_SHMEM = 32,     /* shmid is set; its pages are in pagemap-shmem-ID.img */
};

struct criu_note_head {
	uint32_t pid, host_pid, machine;
	uint64_t time_ns;
	char tracking[16];
	char version[32];
};

struct criu_mapping {
	uint64_t start, end, file_offset;
	uint64_t dev, ino, shmid;
	uint32_t flags;          /* enum criu_mapping_flag */
	const char *name;        /* reading: in scratch, name_len bytes, not ended by 0 */
	size_t name_len;
};

enum criu_note_kind { CRIU_NOTE_HEAD, CRIU_NOTE_MAPPING, CRIU_NOTE_ELF, CRIU_NOTE_END,
		      CRIU_NOTE_OTHER };

struct criu_note {
	enum criu_note_kind kind;
	struct criu_note_head head;
	struct criu_mapping mapping;
	const void *elf;         /* in scratch */
	size_t elf_len;
	uint64_t mappings_n, elf_bytes;  /* CRIU_NOTE_END: of all that came before */
};

/* ----------------------------------------------------------------- writing */

/* All append; the first failure sticks in ret->error. */
void criu_put_magic(struct buf *ret, enum criu_kind kind);
/* The first record of a pagemap. */
void criu_put_head(struct buf *ret, uint32_t pages_id);
/* nr_pages goes into both fields, for CRIU before and since 4.2. */
void criu_put_entry(struct buf *ret, const struct criu_entry *e);
void criu_put_inventory(struct buf *ret, const struct criu_inventory *i);
void criu_put_stats(struct buf *ret, const struct criu_stats *s);
void criu_put_note_head(struct buf *ret, const struct criu_note_head *h);
void criu_put_note_mapping(struct buf *ret, const struct criu_mapping *m);
/* len: at most CRIU_ELF_PIECE. */
void criu_put_note_elf(struct buf *ret, const void *data, size_t len);
void criu_put_note_end(struct buf *ret, uint64_t mappings_n, uint64_t elf_bytes);

/* ----------------------------------------------------------------- reading */

/*
 * Errors of all: -EBADMSG (this is no such thing), -ENOTSUP (it is, of a kind
 * that is not known here: compressed pages, a later version), with a sentence.
 * Bytes from anywhere may be given.
 */

/* The bytes that the magic takes; 0: more than len are needed. */
int criu_get_magic(enum criu_kind kind, const void *data, size_t len, struct err *reterr);
/*
 * The record that data begins with: the bytes it takes with its length, and
 * where its body is; 0: more bytes are needed (*ret_len, the body's, is set
 * when the length is there, else it is 0).
 */
int64_t criu_get_record(const void *data, size_t len, const void **ret_body, size_t *ret_len,
			struct err *reterr);
int criu_get_head(const void *body, size_t len, uint32_t *ret_pages_id, struct err *reterr);
/*
 * An entry, as this CRIU and older ones write it, with what it says checked:
 * whole pages, at least one, below CRIU_ADDRESS_MAX, known flags.  What it has to do
 * with other entries is the caller's.
 */
int criu_get_entry(const void *body, size_t len, struct criu_entry *ret, struct err *reterr);
int criu_get_inventory(const void *body, size_t len, struct criu_inventory *ret,
		       struct err *reterr);
int criu_get_stats(const void *body, size_t len, struct criu_stats *ret, struct err *reterr);
/* scratch: CRIU_NOTE_SCRATCH bytes of the caller's, aligned as malloc() does. */
#define CRIU_NOTE_SCRATCH (512u << 10)
int criu_get_note(const void *body, size_t len, void *scratch, struct criu_note *ret,
		  struct err *reterr);

#endif
