/* SPDX-License-Identifier: MIT */
/*
 * How facts are found out: the probes, and what they share.
 * Not for use outside of src/caps/.
 *
 * A probe tries the thing itself.  Three outcomes: yes; no, with the call that
 * refused; unknown, where what it needs for trying (a temporary file, a
 * descriptor) could not be had.  It leaves nothing behind, and every wait in
 * it ends after PROBE_WAIT_NS.  It must not say yes, nor deny that pages are
 * shared, because something else went wrong.
 */
#ifndef CAPS_PROBE_H
#define CAPS_PROBE_H

#include "base/err.h"
#include "caps/caps.h"

#define PROBE_PAGE_BYTES 4096u
#define PROBE_WAIT_NS 2000000000ull
#define PROBE_TICK_MS 10

struct probe {
	enum fact_state state;
	bool passing;   /* unknown for now: we were short of something */
	uint64_t value;
	struct err why;
};

#define PROBE_PRINTF(f) __attribute__((format(printf, f, (f) + 1)))

/* Set the outcome. */
void probe_yes(struct probe *p, uint64_t value, const char *fmt, ...) PROBE_PRINTF(3);
void probe_no(struct probe *p, const char *fmt, ...) PROBE_PRINTF(2);
/*
 * "what: errno's words".  No; but unknown where code says that we are short of
 * something (descriptors, memory, space) rather than that the kernel cannot.
 */
void probe_refused(struct probe *p, int code, const char *fmt, ...) PROBE_PRINTF(3);
/* Unknown: "could not be tried: what: errno's words". */
void probe_untried(struct probe *p, int code, const char *fmt, ...) PROBE_PRINTF(3);

/* $TMPDIR or /tmp; never for programs with more rights than their user. */
const char *probe_dir(void);
/* A file without a name in probe_dir(), open for reading and writing. */
int probe_temp_file(struct probe *p);
/* The same with two pages of 'A' in it; memory where there is no such place. */
int probe_temp_page_file(struct probe *p);
/* Another descriptor of what fd has open; through /proc. */
int probe_reopen(int fd, int flags);
/* First bytes of a small file (of /proc), ended by a 0 byte. */
int probe_read_text(const char *path, char *buf, size_t size);

/* All bytes or a negative errno; never 0 bytes at a time for ever. */
int probe_write_all(int fd, const void *buf, size_t len, uint64_t off);
int probe_read_all(int fd, void *buf, size_t len);
/* Every byte is c. */
bool probe_all_are(const unsigned char *buf, size_t len, unsigned char c);

/*
 * A connected pair of TCP sockets over loopback, neither of which blocks.
 * reterr: what failed.
 */
int probe_tcp_pair(int ret_fds[2], struct err *reterr);
/* Throw away what the peer sent. */
void probe_drain(int fd);

void probe_io_uring(struct caps *c, struct probe *p);
void probe_send_zc(struct caps *c, struct probe *p);
void probe_send_zc_report(struct caps *c, struct probe *p);
void probe_msg_zerocopy(struct caps *c, struct probe *p);
void probe_sendfile(struct caps *c, struct probe *p);
void probe_splice(struct caps *c, struct probe *p);
void probe_splice_shares(struct caps *c, struct probe *p);
void probe_splice_direct(struct caps *c, struct probe *p);
void probe_tee(struct caps *c, struct probe *p);
void probe_vmsplice(struct caps *c, struct probe *p);
void probe_vmsplice_shares(struct caps *c, struct probe *p);
void probe_copy_file_range(struct caps *c, struct probe *p);
void probe_reflink(struct caps *c, struct probe *p);
void probe_o_direct(struct caps *c, struct probe *p);
void probe_statx_dioalign(struct caps *c, struct probe *p);
void probe_lease(struct caps *c, struct probe *p);
void probe_seals(struct caps *c, struct probe *p);
void probe_verity(struct caps *c, struct probe *p);
void probe_pipe_reopen(struct caps *c, struct probe *p);
void probe_pipe_nowait(struct caps *c, struct probe *p);
void probe_file_nowait(struct caps *c, struct probe *p);
void probe_process_vm(struct caps *c, struct probe *p);
void probe_memlock(struct caps *c, struct probe *p);
void probe_pipe_size(struct caps *c, struct probe *p);
void probe_pagemap_scan(struct caps *c, struct probe *p);
void probe_pagemap_frames(struct caps *c, struct probe *p);
void probe_uffd_wp_async(struct caps *c, struct probe *p);
void probe_wp_holes(struct caps *c, struct probe *p);
void probe_pidfd_getfd(struct caps *c, struct probe *p);
void probe_soft_dirty(struct caps *c, struct probe *p);
void probe_map_files(struct caps *c, struct probe *p);
void probe_vma_list(struct caps *c, struct probe *p);

#endif
