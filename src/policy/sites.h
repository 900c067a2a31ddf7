/* SPDX-License-Identifier: MIT */
/*
 * From an address in a process to a place that people know: module and offset,
 * or a symbol.  Not an unwinder: where the call was made by libc, its caller is
 * the first return address on the stack that is not libc's.
 */
#ifndef POLICY_SITES_H
#define POLICY_SITES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SITE_PATH_MAX 240
#define SITE_RETURNS 16
#define SITE_SYMBOL_MAX 96

struct site_map {
	uint64_t start, end, offset; /* executable; offset in the file */
	char path[SITE_PATH_MAX];
};

/* The code of one process: reads /proc/PID/maps anew when an address is not in it. */
struct site_maps {
	struct site_map *map;
	size_t n, size;
	unsigned misses;
	uint64_t returns[SITE_RETURNS]; /* addresses that are behind a call */
};

struct site_place {
	char module[SITE_PATH_MAX]; /* "" not known */
	uint64_t offset;            /* in module; or the address */
};

void site_maps_deinit(struct site_maps *m);
/*
 * The place of a call: ip is behind it, sp the stack pointer there or 0.
 * ret_caller: the address that it stands for.
 */
void site_caller(struct site_maps *m, pid_t pid, uint64_t ip, uint64_t sp, bool is_32bit,
		 uint64_t *ret_caller);
void site_place(struct site_maps *m, pid_t pid, uint64_t address, struct site_place *ret);

#endif
