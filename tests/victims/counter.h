/* SPDX-License-Identifier: MIT */
/*
 * The memory of the victim "counter", as a function of its counters: what each
 * page must hold when thread t has made k steps.  Shared by the victim and by
 * the oracle that looks at a core of it.
 *
 * The steps of a thread go in epochs: each writes every page of the thread's
 * slice once, in an order of its own, so that the last step that wrote a page
 * is found by turning the order around.
 */
#ifndef VICTIMS_COUNTER_H
#define VICTIMS_COUNTER_H

#include <stdint.h>

#define COUNTER_MAGIC 0x7265746e756f6364ULL
#define COUNTER_CTL 0x210000000000ULL    /* struct counter_ctl, private memory */
#define COUNTER_BASE 0x300000000000ULL   /* the pages */
#define COUNTER_THREADS_MAX 64
#define COUNTER_PAGE 4096
/* Three words that a step writes, in this order, and two that never change. */
#define COUNTER_WORDS 3
static const unsigned counter_word[COUNTER_WORDS] = { 0, 2040, 4088 };
static const unsigned counter_still[2] = { 1024, 3072 };

/* Where the writer's instructions are: see counter.c. */
enum counter_label {
	LABEL_BEGIN, LABEL_W0, LABEL_W1, LABEL_W2, LABEL_W3, LABEL_W4, LABEL_END,
	LABEL_SLEEP, /* right behind the system call that it sleeps in */
	LABELS
};

struct counter_ctl {
	uint64_t magic;
	uint64_t pages, threads;
	uint64_t bits;            /* a thread has 1 << bits pages */
	uint64_t label[LABELS];
	/* The thread that maps and unmaps: what is published here is all there. */
	uint64_t churn_addr, churn_pages, churn_value;
	struct counter_thread {
		uint64_t tid;     /* as in its pid namespace */
		uint64_t k;       /* steps made */
		uint64_t spare[6];
	} thread[COUNTER_THREADS_MAX];
};

static inline uint64_t counter_mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ULL;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/* a * result == 1 modulo 2^64; a is odd. */
static inline uint64_t counter_inverse(uint64_t a)
{
	uint64_t x = a;
	int i;

	for (i = 0; i < 6; i++)
		x *= 2 - a * x;
	return x;
}

#define COUNTER_ODD 0xd1342543de82ef95ULL

/* The page that step i of an epoch writes, in the thread's slice. */
static inline uint64_t counter_page_of(uint64_t epoch, uint64_t i, unsigned bits)
{
	uint64_t mask = ((uint64_t)1 << bits) - 1;
	uint64_t x = (i * (counter_mix(epoch) | 1) + counter_mix(~epoch)) & mask;

	x ^= x >> ((bits + 1) / 2);
	return (x * COUNTER_ODD) & mask;
}

/* And the other way round. */
static inline uint64_t counter_step_of(uint64_t epoch, uint64_t page, unsigned bits)
{
	uint64_t mask = ((uint64_t)1 << bits) - 1;
	uint64_t x = (page * counter_inverse(COUNTER_ODD)) & mask;

	x ^= x >> ((bits + 1) / 2);
	return ((x - counter_mix(~epoch)) * counter_inverse(counter_mix(epoch) | 1)) & mask;
}

/* The last step before step k that wrote the page; k >= 1 << bits. */
static inline uint64_t counter_last(uint64_t k, uint64_t page, unsigned bits)
{
	uint64_t mask = ((uint64_t)1 << bits) - 1, epoch = k >> bits;
	uint64_t i = counter_step_of(epoch, page, bits);

	if (i < (k & mask))
		return epoch << bits | i;
	return (epoch - 1) << bits | counter_step_of(epoch - 1, page, bits);
}

static inline uint64_t counter_value(uint64_t k, unsigned thread)
{
	return counter_mix(k + 1) ^ (uint64_t)thread << 56;
}

/* page: of all, not of the slice. */
static inline uint64_t counter_still_value(uint64_t page, unsigned i)
{
	return counter_mix(page * 2 + i) | 1;
}

#endif
