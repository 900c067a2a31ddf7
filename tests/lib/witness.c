/* SPDX-License-Identifier: MIT */
#include "lib/witness.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/kit.h"

#define WITNESS_LEN (UINT64_C(2) << 20)
#define WITNESS_MS 20000

void witness_start(struct witness *w, struct decant *d)
{
	struct pair_options o = { .small = true };
	struct decant_transfer t = DECANT_TRANSFER_INIT;

	source_open(&w->from, SOURCE_FILE, FS_EXT4, 4099, WITNESS_LEN);
	pair_open(&w->pair, PAIR_LOOPBACK, &o);
	w->reader = (struct reader){ .fd = w->pair.in, .offset = 4099, .gen = PATTERN_OLD };
	reader_start(&w->reader);
	t.from = w->from.end;
	t.to = decant_socket(w->pair.out);
	t.len = WITNESS_LEN;
	if (track_submit(d, &t, &w->track) < 0)
		kit_die("the witness was not accepted: %s", decant_strerror(d));
}

static const char *witness_judge(const struct track *tr, const struct pattern_report *r,
				 uint64_t got, uint64_t want)
{
	static __thread char text[600];
	const char *verdict = track_verdict(tr, 0);

	if (verdict[0])
		snprintf(text, sizeof(text), "%s", verdict);
	else if (!pattern_clean(r) || got != want)
		snprintf(text, sizeof(text), "%llu of %llu bytes, %s", (unsigned long long)got,
			 (unsigned long long)want, pattern_text(r));
	else
		return "";
	return text;
}

const char *witness_end(struct witness *w, struct decant *d)
{
	const char *ret;

	reader_go(&w->reader);
	track_until(d, &w->track, DECANT_ENDED, WITNESS_MS);
	shutdown(w->pair.out, SHUT_WR);
	reader_join(&w->reader);
	ret = witness_judge(&w->track, &w->reader.report, w->reader.bytes, WITNESS_LEN);
	source_close(&w->from);
	pair_close(&w->pair);
	return ret;
}

static const char *witness_one(struct decant *d, uint64_t len)
{
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct pair_options o = { .holds = len };
	const char *ret;
	struct source from;
	struct track tr;
	struct sink to;

	source_open(&from, SOURCE_FILE, FS_EXT4, 0, len);
	sink_open(&to, SINK_UNIX, FS_TMPFS, 0, len, &o);
	t.from = from.end;
	t.to = to.end;
	t.len = len;
	if (track_submit(d, &t, &tr) < 0) {
		ret = decant_strerror(d);
	} else {
		uint64_t until = kit_now_ns() + (uint64_t)WITNESS_MS * 1000000u;

		while (!track_until(d, &tr, DECANT_ENDED, 5) && kit_now_ns() < until)
			sink_drain(&to, len, 0);
		sink_finish(&to, len);
		ret = witness_judge(&tr, &to.report, to.got, len);
	}
	source_close(&from);
	sink_close(&to);
	return ret;
}

const char *witness_again(struct decant *d)
{
	const char *ret = witness_one(d, 5000);

	return ret[0] ? ret : witness_one(d, UINT64_C(3) << 20);
}
