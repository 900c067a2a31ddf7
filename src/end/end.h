/* SPDX-License-Identifier: MIT */
/*
 * What an end is, found out from its descriptor, and its plain reads and
 * writes.  Not a route: it knows nothing of zero copy.
 *
 * An end belongs to one transfer and is used by one thread at a time.  It may
 * be copied until end_open(); from then on it owns descriptors.
 */
#ifndef END_END_H
#define END_END_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "caps/caps.h"
#include "decant.h"
#include "end/recent.h"

#define END_SIZE_UNKNOWN UINT64_MAX

enum end_side { END_SOURCE, END_SINK };

struct end {
	enum decant_end_kind kind; /* DECANT_END_FD: none of the known (tty, ...) */
	enum end_side side;
	int fd;             /* the caller's; -1: none */
	int io_fd;          /* what we read and write: fd, or our own reopening */
	uint64_t offset;    /* file: where the transfer starts; process: address */
	uint64_t size;      /* file: once end_size() was asked; memory: len */
	unsigned char *addr;
	pid_t pid;

	bool learned;       /* the facts below are filled in */
	bool seekable;      /* can be read again at an offset */
	bool position;      /* DECANT_CURRENT: fd's position is moved on at the end */
	bool append;        /* O_APPEND sink */
	bool nonblock;      /* io_fd never blocks */
	bool nowait;        /* RWF_NOWAIT must be used on io_fd */
	bool block_device;
	bool tcp, unix_stream;
	bool local;         /* socket: the peer is an address of this host */
	bool direct_fd;     /* the caller's fd has O_DIRECT */
	bool cached_fs;     /* has a page cache worth bypassing (not tmpfs) */
	bool reflinks;      /* a regular file, and its kind of file system can share blocks */
	uint32_t dio_align; /* O_DIRECT: offset alignment; 0: not possible */
	uint32_t dio_mem_align;
	uint64_t block_size; /* st_blksize */
	uint64_t size_seen; /* regular file: its size when it was learned; a hint */
	uint64_t dev, ino;
	const char *immutable; /* why the source cannot change, or NULL */
	const char *wrong;  /* why the descriptor is not what it was said to be, or NULL */
	int wrong_errno;    /* and what to fail with: -EINVAL, -EBADF */

	/* end/'s own. */
	bool poll_first;    /* io_fd may block: ask before each read and write */
	bool nosignal;      /* RWF_NOSIGNAL is worth a try */
	bool terminal;
	bool master;        /* the program's side of a pseudo-terminal */
	int mem_fd;         /* /proc/PID/mem, where process_vm_readv is refused */
};

/*
 * Fill in *ret from what the caller said; nothing is opened.  Explicit kinds
 * with an offset cost no system call, but for a file sink: one (O_APPEND must
 * be known before a byte is written), and for a socket: one (what is sent to one
 * of datagrams may be lost and nobody told).  DECANT_CURRENT: one lseek.
 * DECANT_END_FD: one fstat more; the kind becomes what it is.
 * Whether an explicit kind is true is found out by end_learn() or by the first
 * read.  -EBADF, -EINVAL, -EISDIR, -ENOTSUP (kind cannot be that side).
 */
int end_init(struct end *ret, const struct decant_end *e, enum end_side side, struct err *reterr);
/* The same, but a socket whose type was asked for a moment ago is not asked again. */
int end_init_recent(struct end *ret, const struct decant_end *e, enum end_side side,
		    struct recent *recent, struct err *reterr);

/* The other facts; what the planner wants to know.  Asked once. */
void end_learn(struct end *e, struct caps *caps);

/* A file whose pages are in memory alone: reading it waits for no disk. */
bool end_in_memory(const struct end *e);

/*
 * Size of a file, asked at the first call and kept.  A source of 0 bytes is
 * END_SIZE_UNKNOWN: files of /proc have that size and give bytes.
 */
uint64_t end_size(struct end *e);
/* Size of the file now (it may have shrunk), or END_SIZE_UNKNOWN. */
uint64_t end_size_now(const struct end *e);

/*
 * Make io_fd one that does not block (reopen a pipe, or note RWF_NOWAIT) and
 * the undoing of that.  end_close() also moves the fd's position on; it is
 * fine after end_init() alone, and twice.  Where a pipe can neither be opened
 * anew nor takes RWF_NOWAIT, each read and write is preceded by a poll, and
 * somebody else on the same end of the pipe can still make us wait.
 * -EPIPE: a FIFO without a reader.
 */
int end_open(struct end *e, struct caps *caps, struct err *reterr);
void end_close(struct end *e, uint64_t moved_bytes);

/*
 * One plain read or write at pos bytes from the start of the transfer.  Never
 * block on pipes and sockets: -EAGAIN (poll io_fd).  0 from a read: the end.
 * Never raise SIGPIPE or SIGBUS: -EPIPE, -EFAULT.  Files and sockets may be
 * read and written before end_open().
 */
int64_t end_read(struct end *e, uint64_t pos, void *buf, uint64_t len_bytes);
int64_t end_write(struct end *e, uint64_t pos, const void *buf, uint64_t len_bytes, bool more);

/*
 * How many of n bytes, just read at pos of a file, the file still has.  A
 * truncation first sets the size and then clears the rest of the last page,
 * which a read that is under way copies as zeros: bytes that the file never
 * held.  end_read() has done this already.
 */
int64_t end_kept(const struct end *e, uint64_t pos, int64_t n);

/*
 * The bytes of a memory or zero source where they are, at most *len_bytes of
 * them (set to how many; 0: the end): a write to a descriptor may take them
 * from there.  NULL: this source must be read.  The caller must not touch them
 * itself: memory may be a mapping of a file that shrank.
 */
const void *end_view(const struct end *e, uint64_t pos, uint64_t *len_bytes);
/* Likewise the room of a memory sink, for a read from a descriptor. */
void *end_room(const struct end *e, uint64_t pos, uint64_t *len_bytes);

/* Open the same file again through /proc/self/fd; O_CLOEXEC is added. */
int end_reopen(int fd, int flags);

/* "file", "pipe", "TCP socket", ... for sentences. */
const char *end_noun(const struct end *e);

#endif
