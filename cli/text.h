/* SPDX-License-Identifier: MIT */
/*
 * Text for people: wrapped columns, colours, sizes in words.
 * Not for machines: JSON and progress lines are made elsewhere.
 */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TEXT_NUMBER_MAX 32

enum text_style {
	TEXT_PLAIN,
	TEXT_BOLD,
	TEXT_DIM,
	TEXT_GOOD,
	TEXT_BAD,
	TEXT_DOUBT,
};

/* Columns of the terminal behind f; 0: not a terminal, so do not wrap. */
unsigned text_width(FILE *f);
/* Colours are for terminals, and for people who did not set NO_COLOR. */
bool text_colours(FILE *f);

/* s in a style, where f has colours. */
void text_styled(FILE *f, enum text_style style, const char *s);

/*
 * Print s from column `column` on, breaking between words before width and
 * continuing at `indent`.  width 0: no breaks.  No newline at the end.
 */
void text_wrap(FILE *f, const char *s, unsigned column, unsigned indent, unsigned width);

/* Columns that s takes on a terminal (UTF-8: one per code point). */
unsigned text_columns(const char *s);

struct text_cell {
	const char *text;
	enum text_style style;
};

/*
 * cells: rows of cols cells each.  Columns are as wide as their widest cell;
 * the last one is wrapped.  indent: spaces before each row.  right: bit N set:
 * column N (not the last) is aligned to the right.
 */
void text_table(FILE *f, const struct text_cell *cells, size_t rows, size_t cols, unsigned indent,
		unsigned right);

/* "1.5 GiB", "17 B".  Both return buf. */
const char *text_bytes(char buf[TEXT_NUMBER_MAX], uint64_t bytes);
/* "0:05", "1:02:03". */
const char *text_clock(char buf[TEXT_NUMBER_MAX], uint64_t seconds);
/* "1.2 s", "350 ms", "12 us". */
const char *text_duration(char buf[TEXT_NUMBER_MAX], uint64_t ns);

#endif
