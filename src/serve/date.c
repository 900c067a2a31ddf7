/* SPDX-License-Identifier: MIT */
#include "serve/date.h"

#include <stdio.h>

#define DATE_DAY 86400
#define DATE_LAST 253402300799 /* of the year 9999 */

const char date_months[12][4] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
};
static const char date_days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };

/* Days since 1970 of a civil date, with years that begin in March. */
static int64_t date_day_number(int64_t year, unsigned month, unsigned day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	unsigned of_era = (unsigned)(y - era * 400);
	unsigned of_year = (153 * (month + (month > 2 ? -3u : 9u)) + 2) / 5 + day - 1;

	return era * 146097 + (int64_t)(of_era * 365 + of_era / 4 - of_era / 100 + of_year) -
	       719468;
}

void date_split(int64_t seconds, struct date *ret)
{
	int64_t days, z, era;
	unsigned of_day, of_era, year, of_year, m;

	if (seconds > DATE_LAST)
		seconds = DATE_LAST;
	if (seconds < -62135596800)
		seconds = -62135596800; /* of the year 1 */
	days = seconds / DATE_DAY;
	if (seconds % DATE_DAY < 0)
		days--;
	of_day = (unsigned)(seconds - days * DATE_DAY);
	ret->hour = of_day / 3600;
	ret->minute = of_day / 60 % 60;
	ret->second = of_day % 60;
	ret->weekday = (unsigned)(((days + 4) % 7 + 7) % 7);
	z = days + 719468;
	era = (z >= 0 ? z : z - 146096) / 146097;
	of_era = (unsigned)(z - era * 146097);
	year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	of_year = of_era - (365 * year + year / 4 - year / 100);
	m = (5 * of_year + 2) / 153;
	ret->day = of_year - (153 * m + 2) / 5 + 1;
	ret->month = m < 10 ? m + 3 : m - 9;
	ret->year = (int64_t)year + era * 400 + (ret->month <= 2);
}

static void date_two(char *at, unsigned v)
{
	at[0] = (char)('0' + v / 10 % 10);
	at[1] = (char)('0' + v % 10);
}

void date_format(char ret[DATE_BYTES], int64_t seconds)
{
	struct date d;

	date_split(seconds, &d);
	memcpy(ret, "Sun, 06 Nov 1994 08:49:37 GMT", DATE_BYTES);
	memcpy(ret, date_days[d.weekday], 3);
	date_two(ret + 5, d.day);
	memcpy(ret + 8, date_months[d.month - 1], 3);
	date_two(ret + 12, (unsigned)(d.year / 100));
	date_two(ret + 14, (unsigned)(d.year % 100));
	date_two(ret + 17, d.hour);
	date_two(ret + 20, d.minute);
	date_two(ret + 23, d.second);
}

static bool date_letter(char c)
{
	return (c | 32) >= 'a' && (c | 32) <= 'z';
}

/* Letters of the form stand for fields (B: a month's name), all else for itself. */
static bool date_match(struct span text, const char *form, struct date *ret)
{
	size_t at = 0;

	for (; *form; form++) {
		unsigned *field = *form == 'D' ? &ret->day : *form == 'h' ? &ret->hour :
				  *form == 'm' ? &ret->minute : *form == 's' ? &ret->second : NULL;

		if (*form == '*') { /* the day's name, long or short */
			while (at < text.len && date_letter(text.s[at]))
				at++;
			continue;
		}
		if (*form == 'B') {
			unsigned m = 0;

			while (m < 12 && (text.len - at < 3 ||
					  memcmp(text.s + at, date_months[m], 3) != 0))
				m++;
			if (m == 12)
				return false;
			ret->month = m + 1;
			at += 3;
			continue;
		}
		if (field || *form == 'Y' || *form == 'y') {
			unsigned n = *form == 'Y' ? 4 : 2, v = 0;

			for (; n; n--, at++) {
				char c = at < text.len ? text.s[at] : '\0';

				if (c == ' ' && n == 2 && *form == 'D')
					c = '0';
				if (c < '0' || c > '9')
					return false;
				v = v * 10 + (unsigned)(c - '0');
			}
			if (field)
				*field = v;
			else
				ret->year = *form == 'Y' ? v : v < 70 ? 2000 + v : 1900 + v;
			continue;
		}
		if (at >= text.len || text.s[at++] != *form)
			return false;
	}
	return at == text.len;
}

bool date_parse(struct span text, int64_t *ret)
{
	struct date d = { 0 };

	if (!text.s)
		return false;
	text = span_trim(text);
	if (!date_match(text, "*, D B Y h:m:s GMT", &d) &&
	    !date_match(text, "*, D-B-y h:m:s GMT", &d) &&
	    !date_match(text, "* B D h:m:s Y", &d))
		return false;
	if (d.day < 1 || d.day > 31 || d.hour > 23 || d.minute > 59 || d.second > 60)
		return false;
	*ret = date_day_number(d.year, d.month, d.day) * DATE_DAY + d.hour * 3600 +
	       d.minute * 60 + d.second;
	return true;
}
