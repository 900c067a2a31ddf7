/* SPDX-License-Identifier: MIT */
/*
 * A final image as an ELF core: pages of the chain, registers and mappings of
 * decant-PID.img.  Not a capture: no process is looked at.
 */
#ifndef DUMP_CORE_H
#define DUMP_CORE_H

#include "decant.h"
#include "dump/chain.h"

struct core_report {
	uint64_t mappings, pages;
	uint64_t stray_pages;    /* in no mapping: no part of the core */
	uint64_t file_bytes, copied_bytes;
};

/*
 * fd: a regular file, empty, open for reading and writing.  -ENODATA: there is
 * no decant-PID.img.  A page of private memory that is in no image is zeros; one
 * of a mapped file is not in the core: debuggers read the file.
 */
int core_from_chain(struct decant *d, const struct chain *c, uint64_t pid, int fd,
		    struct core_report *ret, struct err *reterr);

#endif
