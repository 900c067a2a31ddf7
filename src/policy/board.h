/* SPDX-License-Identifier: MIT */
/*
 * What a supervisor of mechanism notify lets others see: how many calls of
 * vmsplice each thread has made.  And how they find it: by a mark in the filter
 * itself, which a tracer can read.
 * Not a report: it only tells whether calls are caught at all.
 */
#ifndef POLICY_BOARD_H
#define POLICY_BOARD_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define BOARD_MAGIC 0x64634362u
#define BOARD_SLOTS 4096
#define BOARD_PROBES 64

/* A sealed memfd of the supervisor's.  Whoever reads it does not trust it. */
struct board {
	uint32_t magic;
	uint32_t crowded;      /* some thread found no slot */
	struct {
		int32_t tid;   /* 0: free; never given back */
		uint32_t pad;
		uint64_t vmsplices;
	} slot[BOARD_SLOTS];
};

/*
 * Behind the filter's end, where it is never run: three instructions that
 * return a number each, the magic one, the supervisor's pid and its descriptor
 * of the board.
 */
#define BOARD_MARK 3

static inline void board_mark(struct sock_filter to[BOARD_MARK], pid_t pid, int fd)
{
	to[0] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, BOARD_MAGIC);
	to[1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, (uint32_t)pid);
	to[2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, (uint32_t)fd);
}

static inline bool board_find(const struct sock_filter *code, unsigned n, pid_t *ret_pid,
			      int *ret_fd)
{
	if (n < BOARD_MARK || code[n - 3].k != BOARD_MAGIC ||
	    code[n - 3].code != (BPF_RET | BPF_K) || code[n - 2].code != (BPF_RET | BPF_K) ||
	    code[n - 1].code != (BPF_RET | BPF_K))
		return false;
	*ret_pid = (pid_t)code[n - 2].k;
	*ret_fd = (int)code[n - 1].k;
	return *ret_pid > 0 && *ret_fd >= 0;
}

/* Any thread of the supervisor. */
static inline void board_note(struct board *b, pid_t tid)
{
	for (unsigned i = 0; i < BOARD_PROBES; i++) {
		unsigned at = ((unsigned)tid + i) % BOARD_SLOTS;
		int32_t none = 0;

		if (__atomic_load_n(&b->slot[at].tid, __ATOMIC_RELAXED) == tid ||
		    __atomic_compare_exchange_n(&b->slot[at].tid, &none, tid, false,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED) ||
		    none == tid) {
			(void)__atomic_fetch_add(&b->slot[at].vmsplices, 1, __ATOMIC_RELEASE);
			return;
		}
	}
	__atomic_store_n(&b->crowded, 1, __ATOMIC_RELAXED);
}

static inline uint64_t board_count(const struct board *b, pid_t tid)
{
	for (unsigned i = 0; i < BOARD_PROBES; i++) {
		unsigned at = ((unsigned)tid + i) % BOARD_SLOTS;

		if (__atomic_load_n(&b->slot[at].tid, __ATOMIC_RELAXED) == tid)
			return __atomic_load_n(&b->slot[at].vmsplices, __ATOMIC_ACQUIRE);
	}
	return 0;
}

#endif
