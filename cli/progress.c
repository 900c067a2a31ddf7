/* SPDX-License-Identifier: MIT */
#include "progress.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "decant.h"
#include "options.h"
#include "text.h"

#define PROGRESS_DRAW_NS UINT64_C(100000000)
/* Rates are measured over at least so long, else they flicker. */
#define PROGRESS_RATE_NS UINT64_C(500000000)
#define PROGRESS_BAR_MIN 10
#define PROGRESS_BAR_MAX 40
/* "1023.9 MiB", and what stands behind the bar: both keep their place. */
#define PROGRESS_BYTES_COLUMNS 10
#define PROGRESS_TAIL_COLUMNS 49
#define PROGRESS_WIDE_COLUMNS (5 + PROGRESS_BAR_MIN + 3 + PROGRESS_TAIL_COLUMNS)

void progress_start(struct progress *p, int fd, uint64_t total, uint64_t now_ns,
		    struct waiter *w)
{
	*p = (struct progress){
		.bar = fd == OPTION_FD_NONE && isatty(STDERR_FILENO),
		.fd = fd >= 0 ? fd : -1,
		.total = total, .told_total = total, .start_ns = now_ns, .mark_ns = now_ns,
		.w = w,
	};
}

bool progress_wanted(const struct progress *p)
{
	return p->bar || p->fd >= 0;
}

/* The bar itself; nothing where it would be too narrow to tell anything. */
static void progress_bar(char *buf, size_t size, double share, unsigned columns)
{
	char bar[PROGRESS_BAR_MAX + 1];
	unsigned full;

	buf[0] = '\0';
	if (columns > PROGRESS_BAR_MAX)
		columns = PROGRESS_BAR_MAX;
	if (columns < PROGRESS_BAR_MIN)
		return;
	full = (unsigned)(share * columns);
	for (unsigned i = 0; i < columns; i++)
		bar[i] = i < full ? '=' : i == full ? '>' : ' ';
	bar[columns] = '\0';
	(void)snprintf(buf, size, "[%s] ", bar);
}

static void progress_left(char *buf, size_t size, const struct progress *p, uint64_t now_ns)
{
	char clock[TEXT_NUMBER_MAX];
	double seconds;

	if (p->total == DECANT_TO_END || p->bytes >= p->total) {
		text_clock(clock, (now_ns - p->start_ns) / 1000000000u);
		(void)snprintf(buf, size, "  %s", clock);
		return;
	}
	seconds = p->rate > 0 ? (double)(p->total - p->bytes) / p->rate : 1e9;
	/* Longer than that is no forecast. */
	if (seconds < 360000)
		(void)snprintf(buf, size, "  %s left",
			       text_clock(clock, (uint64_t)(seconds + 0.5)));
	else
		(void)snprintf(buf, size, "  -:-- left");
}

void progress_render(char buf[PROGRESS_LINE_MAX], const struct progress *p, uint64_t now_ns,
		     unsigned width)
{
	char done[TEXT_NUMBER_MAX], total[TEXT_NUMBER_MAX], rate[TEXT_NUMBER_MAX];
	char bar[PROGRESS_BAR_MAX + 8] = "", left[64], tail[256], head[16] = "";
	bool known = p->total != DECANT_TO_END && p->total > 0;
	double share = known ? (double)p->bytes / (double)p->total : 0;
	int column = known && width >= PROGRESS_WIDE_COLUMNS ? PROGRESS_BYTES_COLUMNS : 0;
	size_t used;

	if (share > 1)
		share = 1;
	progress_left(left, sizeof(left), p, now_ns);
	(void)snprintf(tail, sizeof(tail), "%*s%s%s  %*s/s%s", column, text_bytes(done, p->bytes),
		       known ? " of " : "", known ? text_bytes(total, p->total) : "", column,
		       text_bytes(rate, (uint64_t)p->rate), left);
	if (known)
		(void)snprintf(head, sizeof(head), "%3u%% ", (unsigned)(share * 100));
	used = strlen(tail) < PROGRESS_TAIL_COLUMNS ? PROGRESS_TAIL_COLUMNS : strlen(tail);
	used += strlen(head) + 3;
	if (known && width > used)
		progress_bar(bar, sizeof(bar), share, width - (unsigned)used);
	(void)snprintf(buf, PROGRESS_LINE_MAX, "%s%s%s", head, bar, tail);
	if (width < PROGRESS_LINE_MAX)
		buf[width] = '\0';
}

static void progress_draw(struct progress *p, uint64_t now_ns)
{
	char line[PROGRESS_LINE_MAX];
	unsigned width = text_width(stderr);

	/* The last column is left free: some terminals wrap when it is written. */
	progress_render(line, p, now_ns, (width ? width : 80) - 1);
	(void)fprintf(stderr, "\r%s\033[K", line);
	(void)fflush(stderr);
	p->drawn_ns = now_ns;
}

static void progress_line(struct progress *p)
{
	char line[64];
	int n, r;

	if (p->total == DECANT_TO_END)
		n = snprintf(line, sizeof(line), "%llu/-\n", (unsigned long long)p->bytes);
	else
		n = snprintf(line, sizeof(line), "%llu/%llu\n", (unsigned long long)p->bytes,
			     (unsigned long long)p->total);
	p->told_total = p->total;
	r = waiter_write(p->w, p->fd, line, (size_t)n);
	/* Nobody looks any more: that is no reason to stop the copy. */
	if (r < 0 && r != -ECANCELED)
		p->fd = -1;
}

static void progress_measure(struct progress *p, uint64_t now_ns)
{
	uint64_t span_ns = now_ns - p->mark_ns;
	double rate;

	if (span_ns < PROGRESS_RATE_NS && (p->rate > 0 || span_ns < PROGRESS_DRAW_NS))
		return;
	rate = (double)(p->bytes - p->mark_bytes) * 1e9 / (double)span_ns;
	p->rate = p->rate > 0 ? 0.6 * p->rate + 0.4 * rate : rate;
	p->mark_ns = now_ns;
	p->mark_bytes = p->bytes;
}

void progress_bytes(struct progress *p, uint64_t bytes, uint64_t now_ns)
{
	bool moved = bytes > p->bytes;

	if (moved)
		p->bytes = bytes;
	/* A guess of the total that was mended is news, too: the last line is N/N. */
	if (p->fd >= 0 && (moved || p->total != p->told_total))
		progress_line(p);
	progress_tick(p, now_ns);
}

void progress_tick(struct progress *p, uint64_t now_ns)
{
	progress_measure(p, now_ns);
	if (p->bar && now_ns - p->drawn_ns >= PROGRESS_DRAW_NS)
		progress_draw(p, now_ns);
}

int progress_wait_ms(const struct progress *p, uint64_t now_ns)
{
	uint64_t next_ns = p->drawn_ns + PROGRESS_DRAW_NS;

	if (!p->bar)
		return -1;
	return next_ns <= now_ns ? 0 : (int)((next_ns - now_ns + 999999) / 1000000);
}

void progress_end(struct progress *p, uint64_t now_ns)
{
	if (!p->bar)
		return;
	/* At the end the rate of the whole says more than that of the last moment. */
	if (now_ns > p->start_ns)
		p->rate = (double)p->bytes * 1e9 / (double)(now_ns - p->start_ns);
	progress_draw(p, now_ns);
	(void)fputc('\n', stderr);
	p->bar = false;
}
