/* SPDX-License-Identifier: MIT */
/* What the program prints for people: sizes, wrapping, the bar, checksums. */
#include <unistd.h>

#include "decant.h"
#include "digest.h"
#include "memory.h"
#include "progress.h"
#include "tap.h"
#include "text.h"

#define SECOND UINT64_C(1000000000)

static char *captured;
static size_t captured_len;

static FILE *capture(void)
{
	FILE *f = open_memstream(&captured, &captured_len);

	need(f, "open_memstream");
	return f;
}

static const char *capture_end(FILE *f)
{
	static char copy[4096];

	fclose(f);
	snprintf(copy, sizeof(copy), "%s", captured);
	free(captured);
	return copy;
}

static void test_sizes(void)
{
	char buf[TEXT_NUMBER_MAX];

	is_str(text_bytes(buf, 0), "0 B", "no bytes");
	is_str(text_bytes(buf, 1023), "1023 B", "bytes");
	is_str(text_bytes(buf, 1024), "1.0 KiB", "the first KiB");
	is_str(text_bytes(buf, 1536), "1.5 KiB", "one and a half");
	is_str(text_bytes(buf, (1 << 20) - 1), "1.0 MiB", "rounding goes to the next unit");
	is_str(text_bytes(buf, UINT64_MAX), "16.0 EiB", "the largest");
	is_str(text_clock(buf, 5), "0:05", "seconds");
	is_str(text_clock(buf, 3723), "1:02:03", "hours");
	is_str(text_duration(buf, 999), "999 ns", "nanoseconds");
	is_str(text_duration(buf, 1500000), "1.5 ms", "milliseconds");
	is_str(text_duration(buf, 2 * SECOND), "2.00 s", "seconds");
	is_str(text_duration(buf, 270 * SECOND), "4.5 min", "minutes");
	is_str(text_duration(buf, 594821 * SECOND), "165.2 h", "hours");
}

static void test_wrap(void)
{
	FILE *f = capture();

	text_wrap(f, "one two three four five six", 4, 4, 24);
	is_str(capture_end(f), "one two three four\n    five six", "lines break between words");
	f = capture();
	text_wrap(f, "one two three", 4, 4, 0);
	is_str(capture_end(f), "one two three", "width 0 breaks nothing");
	f = capture();
	text_wrap(f, "a-word-that-is-longer-than-any-line-here and", 4, 4, 24);
	is_str(capture_end(f), "a-word-that-is-longer-than-any-line-here\n    and",
	       "a long word runs on");
	is_int(text_columns("\xc3\xa4\xe2\x82\xac."), 3, "columns are not bytes");
}

static void test_table(void)
{
	static const struct text_cell cells[] = {
		{ "a", TEXT_GOOD }, { "long cell", TEXT_PLAIN }, { "end", TEXT_PLAIN },
		{ "wide", TEXT_PLAIN }, { "b", TEXT_PLAIN }, { "", TEXT_PLAIN },
	};
	FILE *f = capture();

	text_table(f, cells, 2, 3, 1, 1u << 0);
	is_str(capture_end(f), "    a  long cell  end\n wide  b          \n",
	       "columns are aligned, and no colours go into a file");
}

static void test_bar(void)
{
	char line[PROGRESS_LINE_MAX];
	struct progress p = {
		.fd = -1, .total = 1000 << 20, .bytes = 250 << 20, .rate = 100 << 20,
		.start_ns = SECOND,
	};

	progress_render(line, &p, 3 * SECOND, 79);
	is_str(line, " 25% [=====>                ]  250.0 MiB of 1000.0 MiB   100.0 MiB/s  "
	       "0:08 left", "a quarter is done");
	ok(text_columns(line) <= 79, "it fits");
	p.bytes = 9 << 20;
	p.rate = 9 << 20;
	progress_render(line, &p, 3 * SECOND, 79);
	is_str(line, "  0% [>                     ]    9.0 MiB of 1000.0 MiB     9.0 MiB/s  "
	       "1:50 left", "everything keeps its place");
	p.bytes = 250 << 20;
	p.rate = 100 << 20;
	progress_render(line, &p, 3 * SECOND, 54);
	is_str(line, " 25% 250.0 MiB of 1000.0 MiB  100.0 MiB/s  0:08 left",
	       "no bar where there is no room for one");
	for (unsigned width = 10; width < 300; width += 7) {
		progress_render(line, &p, 3 * SECOND, width);
		if (text_columns(line) > width)
			break;
		if (width + 7 >= 300)
			ok(true, "never wider than the terminal");
	}
	p.bytes = p.total;
	progress_render(line, &p, 11 * SECOND, 79);
	ok(strncmp(line, "100% [", 6) == 0 && strstr(line, "  0:10"),
	   "at the end the time it took");
	p.bytes = p.total * 2;
	progress_render(line, &p, 11 * SECOND, 79);
	ok(strncmp(line, "100% [", 6) == 0, "more than promised is still all");
	p.total = DECANT_TO_END;
	progress_render(line, &p, 11 * SECOND, 79);
	is_str(line, "2.0 GiB  100.0 MiB/s  0:10", "without a total: no bar, no forecast");
	p.total = 10;
	p.bytes = 0;
	p.rate = 0;
	progress_render(line, &p, 11 * SECOND, 79);
	ok(strstr(line, "-:-- left"), "no rate, no forecast");
}

static void test_lines(void)
{
	struct waiter w = { .signal_fd = -1 };
	struct progress p;
	char said[256];
	int fds[2];
	ssize_t n;

	need(pipe(fds) == 0, "pipe");
	progress_start(&p, fds[1], 9, SECOND, &w);
	progress_bytes(&p, 0, SECOND);
	progress_bytes(&p, 5, SECOND);
	progress_bytes(&p, 5, SECOND);
	p.total = 5; /* 9 was a guess */
	progress_bytes(&p, 5, SECOND);
	progress_end(&p, SECOND);
	close(fds[1]);
	n = read(fds[0], said, sizeof(said) - 1);
	said[n > 0 ? n : 0] = '\0';
	is_str(said, "5/9\n5/5\n", "a line for what moved, and for a total that was mended");
	close(fds[0]);
}

static void test_digest(void)
{
	const uint8_t digest[32] = { 0x2d, 0x06, 0x80, 0x05, 0x38, 0xd3, 0x94, 0xc2, [31] = 0xff };
	FILE *f = capture();

	digest_print(f, DECANT_CHECKSUM_XXH3, digest, "-");
	is_str(capture_end(f), "XXH3 (-) = 2d06800538d394c2\n", "as xxhsum -H3 prints it");
	f = capture();
	digest_print(f, DECANT_CHECKSUM_SHA256, digest, "a\nb\\c");
	is_str(capture_end(f), "\\2d06800538d394c20000000000000000"
	       "000000000000000000000000000000ff  a\\nb\\\\c\n", "as sha256sum prints odd names");
}

static void test_memory(void)
{
	struct memory whole = MEMORY_INIT, part = MEMORY_INIT;

	need(memory_open(&whole, 10000, false) == 0, "memory");
	need(memory_open(&part, 5001, false) == 0, "memory");
	memory_fill(&whole, 0);
	memory_fill(&part, 4999);
	is_mem(part.data, whole.data + 4999, 5001, "the pattern depends on the offset alone");
	is_int(memory_check(part.data, 5001, 4999), 5001, "it is found right");
	is_int(memory_check(part.data + 3, 4998, 5002), 4998, "from any byte on");
	part.data[4321] ^= 1;
	is_int(memory_check(part.data, 5001, 4999), 4321, "one wrong bit is found");
	ok(memory_check(part.data, 5001, 4998) < 8, "a shift is found at once");
	is_int(whole.data[0], 0xaf, "the first byte is what the manual says");
	memory_close(&whole);
	memory_close(&part);
	ok(whole.data == NULL, "closed");
}

int main(void)
{
	test_sizes();
	test_wrap();
	test_table();
	test_bar();
	test_lines();
	test_digest();
	test_memory();
	return done();
}
