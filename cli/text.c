/* SPDX-License-Identifier: MIT */
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TEXT_WIDTH_MIN 40
#define TEXT_COLUMNS_MAX 8

unsigned text_width(FILE *f)
{
	struct winsize size;
	int fd = fileno(f);

	if (fd < 0 || !isatty(fd))
		return 0;
	if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return 80;
	return size.ws_col < TEXT_WIDTH_MIN ? TEXT_WIDTH_MIN : size.ws_col;
}

bool text_colours(FILE *f)
{
	const char *no = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	if (no && no[0])
		return false;
	if (!term || strcmp(term, "dumb") == 0)
		return false;
	return isatty(fileno(f));
}

void text_styled(FILE *f, enum text_style style, const char *s)
{
	static const char *const codes[] = {
		[TEXT_PLAIN] = "", [TEXT_BOLD] = "\033[1m", [TEXT_DIM] = "\033[2m",
		[TEXT_GOOD] = "\033[32m", [TEXT_BAD] = "\033[31m", [TEXT_DOUBT] = "\033[33m",
	};
	bool colour = style != TEXT_PLAIN && text_colours(f);

	(void)fprintf(f, "%s%s%s", colour ? codes[style] : "", s, colour ? "\033[0m" : "");
}

unsigned text_columns(const char *s)
{
	unsigned columns = 0;

	for (; *s; s++)
		if (((unsigned char)*s & 0xc0) != 0x80)
			columns++;
	return columns;
}

static unsigned text_word(const char *s, size_t *ret_bytes)
{
	size_t bytes = strcspn(s, " ");
	unsigned columns = 0;

	for (size_t i = 0; i < bytes; i++)
		if (((unsigned char)s[i] & 0xc0) != 0x80)
			columns++;
	*ret_bytes = bytes;
	return columns;
}

void text_wrap(FILE *f, const char *s, unsigned column, unsigned indent, unsigned width)
{
	bool first = true;

	/* A column too narrow for a word is no column: let the line run on. */
	if (width && width < indent + 16)
		width = 0;
	while (*s) {
		size_t bytes, spaces = strspn(s, " ");
		unsigned columns = text_word(s + spaces, &bytes);

		if (!first && width && column + spaces + columns > width) {
			(void)fprintf(f, "\n%*s", (int)indent, "");
			column = indent;
			spaces = 0;
			s += strspn(s, " ");
		}
		(void)fwrite(s, 1, spaces + bytes, f);
		column += (unsigned)spaces + columns;
		s += spaces + bytes;
		first = false;
	}
}

void text_table(FILE *f, const struct text_cell *cells, size_t rows, size_t cols, unsigned indent,
		unsigned right)
{
	unsigned widths[TEXT_COLUMNS_MAX] = { 0 };
	unsigned width = text_width(f);

	if (cols == 0 || cols > TEXT_COLUMNS_MAX)
		return;
	for (size_t i = 0; i < rows * cols; i++) {
		unsigned columns = text_columns(cells[i].text);

		if (columns > widths[i % cols])
			widths[i % cols] = columns;
	}
	for (size_t row = 0; row < rows; row++) {
		const struct text_cell *cell = cells + row * cols;
		unsigned column = indent;

		(void)fprintf(f, "%*s", (int)indent, "");
		for (size_t i = 0; i + 1 < cols; i++) {
			unsigned pad = widths[i] - text_columns(cell[i].text);
			unsigned before = right & 1u << i ? pad : 0;

			(void)fprintf(f, "%*s", (int)before, "");
			text_styled(f, cell[i].style, cell[i].text);
			(void)fprintf(f, "%*s", (int)(pad - before + 2), "");
			column += widths[i] + 2;
		}
		text_wrap(f, cell[cols - 1].text, column, column, width);
		(void)fputc('\n', f);
	}
}

const char *text_bytes(char buf[TEXT_NUMBER_MAX], uint64_t bytes)
{
	static const char units[] = "KMGTPE";
	double value = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024) {
		(void)snprintf(buf, TEXT_NUMBER_MAX, "%u B", (unsigned)bytes);
		return buf;
	}
	/* 1023.95 would be printed as 1024.0: the next unit says it better. */
	while (value >= 1023.95 && unit + 2 < sizeof(units)) {
		value /= 1024;
		unit++;
	}
	(void)snprintf(buf, TEXT_NUMBER_MAX, "%.1f %ciB", value, units[unit]);
	return buf;
}

const char *text_clock(char buf[TEXT_NUMBER_MAX], uint64_t seconds)
{
	unsigned long long h = seconds / 3600, m = seconds / 60 % 60, s = seconds % 60;

	if (h)
		(void)snprintf(buf, TEXT_NUMBER_MAX, "%llu:%02llu:%02llu", h, m, s);
	else
		(void)snprintf(buf, TEXT_NUMBER_MAX, "%llu:%02llu", m, s);
	return buf;
}

const char *text_duration(char buf[TEXT_NUMBER_MAX], uint64_t ns)
{
	double value = (double)ns;

	if (ns >= 7200 * 1000000000ull)
		(void)snprintf(buf, TEXT_NUMBER_MAX, "%.1f h", value / 3600e9);
	else if (ns >= 180 * 1000000000ull)
		(void)snprintf(buf, TEXT_NUMBER_MAX, "%.1f min", value / 60e9);
	else if (ns >= 1000000000)
		(void)snprintf(buf, TEXT_NUMBER_MAX, "%.2f s", value / 1e9);
	else if (ns >= 1000000)
		(void)snprintf(buf, TEXT_NUMBER_MAX, "%.1f ms", value / 1e6);
	else if (ns >= 1000)
		(void)snprintf(buf, TEXT_NUMBER_MAX, "%.1f us", value / 1e3);
	else
		(void)snprintf(buf, TEXT_NUMBER_MAX, "%u ns", (unsigned)ns);
	return buf;
}
