/* SPDX-License-Identifier: MIT */
/* base/: sentences, checksums, numbers with units, JSON, growing strings. */
#include <inttypes.h>
#include <limits.h>
#include <math.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/checked.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/le.h"
#include "base/list.h"
#include "base/parse.h"
#include "decant.h"
#include "tap.h"

/* --------------------------------------------------------------- sentences */

static void test_err(void)
{
	char text[400];
	struct err e = { "" };

	is_int(err_set(&e, -EINVAL, "length: must not be %d", 0), -EINVAL,
	       "err_set gives the code");
	is_str(e.text, "length: must not be 0", "err_set sets the sentence");
	is_int(err_set(NULL, -EINVAL, "nobody listens"), -EINVAL, "without a place for it");
	is_int(err_errno(&e, -ENOENT, "file %s", "a"), -ENOENT, "err_errno gives the code");
	is_str(e.text, "file a: No such file or directory", "err_errno adds the errno's words");
	(void)err_errno(&e, -4000, "odd");
	is_str(e.text, "odd: Unknown error", "an errno that has no words");
	(void)err_set(&e, 0, "why");
	is_int(err_wrap(&e, -EIO, "what %d", 1), -EIO, "err_wrap gives the code");
	is_str(e.text, "what 1: why", "err_wrap puts what in front");

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	(void)err_set(&e, 0, "%s", text);
	is_int(strlen(e.text), ERR_TEXT_MAX - 1, "a long sentence is cut");
	is_str(e.text + ERR_TEXT_MAX - 4, "...", "and says so");
	(void)err_wrap(&e, 0, "front");
	ok(strncmp(e.text, "front: xxx", 10) == 0, "a cut sentence can be wrapped");
	is_str(e.text + ERR_TEXT_MAX - 4, "...", "and says that it is cut again");
	text[ERR_TEXT_MAX - 3] = '\0';
	(void)err_errno(&e, -ENOENT, "%s", text);
	is_str(e.text + ERR_TEXT_MAX - 4, "...", "cut within the errno's words");
	text[ERR_TEXT_MAX - 4] = '\0';
	(void)err_set(&e, 0, "%s", text);
	is_str(e.text, text, "a sentence that just fits is whole");
}

/* --------------------------------------------------------------- checksums */

#define SHA256_BIG "6b4e3f3d1dee15db72c519f5962bad253dfc7d4183d7e30e656259ce1eeab007"
#define XXH3_BIG "4e16d63e05fac6ed"

static void hex(const uint8_t *d, size_t n, char *ret)
{
	for (size_t i = 0; i < n; i++)
		sprintf(ret + 2 * i, "%02x", d[i]);
}

static void hash_is(uint32_t kind, const char *data, size_t len, size_t piece, const char *want)
{
	struct hash *h = NULL;
	uint8_t digest[32], again[32];
	char text[65];

	need(hash_create(&h, kind) == 0, "hash_create");
	for (size_t i = 0; i < len; i += piece)
		hash_update(h, data + i, len - i < piece ? len - i : piece);
	hash_update(h, NULL, 0);
	memset(digest, 0xee, sizeof(digest));
	hash_digest(h, digest);
	hash_digest(h, again);
	hex(digest, strlen(want) / 2, text);
	is_str(text, want, "checksum %u of %zu bytes in pieces of %zu", kind, len, piece);
	is_mem(again, digest, 32, "asking twice gives the same");
	hash_update(h, "more", 4);
	hash_digest(h, again);
	ok(memcmp(again, digest, 32) != 0, "and it goes on after that");
	hash_destroy(h);
}

static void test_hash(void)
{
	struct hash *h = (struct hash *)1;
	static char big[100000];

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 + i / 251);
	/* Constants: FIPS 180-4's example; xxhsum -H3 and sha256sum. */
	hash_is(DECANT_CHECKSUM_SHA256, "abc", 3, 1,
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	hash_is(DECANT_CHECKSUM_SHA256, "", 0, 1,
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	hash_is(DECANT_CHECKSUM_XXH3, "", 0, 1, "2d06800538d394c2");
	hash_is(DECANT_CHECKSUM_XXH3, "abc", 3, 2, "78af5f94892f3950");
	hash_is(DECANT_CHECKSUM_SHA256, big, sizeof(big), 4099, SHA256_BIG);
	hash_is(DECANT_CHECKSUM_XXH3, big, sizeof(big), 4099, XXH3_BIG);
	hash_is(DECANT_CHECKSUM_XXH3, big, sizeof(big), sizeof(big), XXH3_BIG);
	is_int(hash_create(&h, DECANT_CHECKSUM_NONE), -EINVAL, "no checksum is no kind");
	is_int(hash_create(&h, 99), -EINVAL, "an unknown kind");
	ok(h == (struct hash *)1, "a failure leaves *ret alone");
	hash_destroy(NULL);
}

/* ----------------------------------------------------------------- numbers */

struct parse_case {
	const char *text;
	int code;
	uint64_t value;
};

static const struct parse_case sizes[] = {
	{ "0", 0, 0 }, { "1", 0, 1 }, { "007", 0, 7 }, { "4096B", 0, 4096 },
	{ "1k", 0, 1024 }, { "1K", 0, 1024 }, { "2KiB", 0, 2048 }, { "2kib", 0, 2048 },
	{ "3KB", 0, 3000 }, { "3kb", 0, 3000 },
	{ "1M", 0, 1048576 }, { "1MiB", 0, 1048576 }, { "1MB", 0, 1000000 },
	{ "1G", 0, 1073741824 }, { "1GiB", 0, 1073741824 }, { "5GB", 0, 5000000000 },
	{ "1T", 0, 1ull << 40 }, { "1TiB", 0, 1ull << 40 }, { "1TB", 0, 1000000000000 },
	{ "1P", 0, 1ull << 50 }, { "1PB", 0, 1000000000000000 },
	{ "15E", 0, 15ull << 60 }, { "18EB", 0, 18000000000000000000ull },
	{ "18446744073709551615", 0, UINT64_MAX },
	{ "18446744073709551616", -ERANGE, 0 }, { "99999999999999999999999", -ERANGE, 0 },
	{ "16E", -ERANGE, 0 }, { "19EB", -ERANGE, 0 }, { "18014398509481984K", -ERANGE, 0 },
	{ "", -EINVAL, 0 }, { NULL, -EINVAL, 0 }, { " 1", -EINVAL, 0 }, { "1 ", -EINVAL, 0 },
	{ "1 K", -EINVAL, 0 }, { "-1", -EINVAL, 0 }, { "+1", -EINVAL, 0 }, { "K", -EINVAL, 0 },
	{ "0x10", -EINVAL, 0 }, { "1e3", -EINVAL, 0 }, { "1.5M", -EINVAL, 0 },
	{ "1KK", -EINVAL, 0 }, { "1Ki", -EINVAL, 0 }, { "1iB", -EINVAL, 0 }, { "1Z", -EINVAL, 0 },
	{ "99999999999999999999999x", -EINVAL, 0 }, { "\xff", -EINVAL, 0 }, { "1\n", -EINVAL, 0 },
};

static const struct parse_case durations[] = {
	{ "0", 0, 0 }, { "2", 0, 2000000000 }, { "2s", 0, 2000000000 }, { "7ns", 0, 7 },
	{ "3us", 0, 3000 }, { "500ms", 0, 500000000 }, { "500MS", 0, 500000000 },
	{ "2m", 0, 120000000000 }, { "1h", 0, 3600000000000 },
	{ "18446744073", 0, 18446744073000000000ull }, { "18446744074", -ERANGE, 0 },
	{ "5124096h", -ERANGE, 0 }, { "", -EINVAL, 0 }, { "-1s", -EINVAL, 0 },
	{ "s", -EINVAL, 0 }, { "1d", -EINVAL, 0 }, { "1 s", -EINVAL, 0 },
	{ "1.5s", 0, 1500000000 }, { "0.25ms", 0, 250000 }, { "0.000000001", 0, 1 },
	{ "1.9999999999999999999999s", 0, 1999999999 }, { "0.5h", 0, 1800000000000 },
	{ "2.7ns", 0, 2 }, { "18446744073.9", -ERANGE, 0 }, { "18446744073.7", 0,
	  18446744073700000000ull }, { "1.", -EINVAL, 0 }, { ".5s", -EINVAL, 0 },
	{ "1.s", -EINVAL, 0 }, { "1.5.5s", -EINVAL, 0 }, { "1,5s", -EINVAL, 0 },
};

static void parse_is(int (*parse)(const char *, uint64_t *, struct err *),
		     const struct parse_case *t)
{
	const char *shown = t->text ? t->text : "(null)";
	struct err e = { "" };
	uint64_t v = 77;
	int r = parse(t->text, &v, &e);

	is_int(r, t->code, "\"%s\": code", shown);
	is_int(v, t->code ? 77 : t->value, "\"%s\": value", shown);
	is_int(e.text[0] != '\0', t->code != 0, "\"%s\": a sentence when refused: %s", shown,
	       e.text);
	is_int(parse(t->text, &v, NULL), t->code, "\"%s\": without a place for it", shown);
}

static void test_parse(void)
{
	char digits[300];
	struct err e;
	uint64_t v = 77;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		parse_is(parse_size, &sizes[i]);
	for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++)
		parse_is(parse_duration, &durations[i]);

	(void)parse_size("-5M", &v, &e);
	is_str(e.text, "\"-5M\": a size cannot be negative", "negative: the sentence");
	(void)parse_size("5X", &v, &e);
	is_str(e.text, "\"5X\": \"X\" is no unit of a size such as 64K or 10MB",
	       "unit: the sentence");
	(void)parse_size("16E", &v, &e);
	is_str(e.text, "\"16E\": the size is too large", "overflow: the sentence");
	memset(digits, '9', sizeof(digits));
	digits[sizeof(digits) - 1] = '\0';
	is_int(parse_size(digits, &v, &e), -ERANGE, "300 digits");
	ok(strlen(e.text) < 100, "are not all in the sentence");

	is_int(parse_u64("5", 5, 5, &v, &e), 0, "a number within its bounds");
	is_int(v, 5, "is that number");
	is_int(parse_u64("4", 5, 9, &v, &e), -ERANGE, "below");
	is_str(e.text, "\"4\": must be from 5 to 9", "the sentence has the bounds");
	is_int(parse_u64("10", 5, 9, &v, &e), -ERANGE, "above");
	is_int(parse_u64("18446744073709551616", 0, UINT64_MAX, &v, &e), -ERANGE, "far above");
	is_int(parse_u64("5K", 0, 9999, &v, &e), -EINVAL, "a unit is no number");
	is_int(parse_u64("", 0, 9999, &v, &e), -EINVAL, "nothing is no number");
	is_int(v, 5, "failures leave *ret alone");
}

static void test_checked(void)
{
	unsigned char raw[9];
	uint64_t v = 7;

	ok(checked_add(UINT64_MAX - 1, 1, &v) && v == UINT64_MAX, "a sum that just fits");
	ok(!checked_add(UINT64_MAX, 1, &v) && v == UINT64_MAX, "a sum that does not");
	ok(checked_mul(UINT64_MAX, 1, &v) && v == UINT64_MAX, "a product that just fits");
	ok(!checked_mul(1ull << 32, 1ull << 32, &v) && v == UINT64_MAX, "a product that does not");
	is_int(saturating_add(UINT64_MAX - 3, 9), UINT64_MAX, "a sum that stops at the end");
	is_int(saturating_add(3, 9), 12, "a sum that need not");
	is_int(align_down(4097, 4096), 4096, "align_down");
	ok(checked_align_up(4097, 4096, &v) && v == 8192, "align up");
	ok(checked_align_up(8192, 4096, &v) && v == 8192, "align up what is aligned");
	ok(!checked_align_up(UINT64_MAX, 4096, &v) && v == 8192, "align up past the end");
	le16_store(raw + 1, 0x0102);
	ok(raw[1] == 2 && raw[2] == 1 && le16_load(raw + 1) == 0x0102, "le16");
	le32_store(raw + 1, 0x01020304);
	ok(raw[1] == 4 && raw[4] == 1 && le32_load(raw + 1) == 0x01020304, "le32");
	le64_store(raw + 1, 0x0102030405060708);
	ok(raw[1] == 8 && raw[8] == 1 && le64_load(raw + 1) == 0x0102030405060708, "le64");
}

/* ----------------------------------------------------------------- strings */

static int refusals;

static int refuse(const char *name)
{
	(void)name;
	refusals++;
	return 1;
}

static void test_buf(void)
{
	struct buf b = BUF_INIT;
	struct hash *h = NULL;
	char *s;

	is_str(buf_str(&b), "", "an empty buf is an empty string");
	s = buf_take(&b);
	is_str(s, "", "taken, too");
	free(s);
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "%d,", i);
	is_int(b.len, 10 + 90 * 2 + 900 * 3 + 1000, "it grows");
	is_int(strlen(buf_str(&b)), b.len, "and is ended");
	buf_clear(&b);
	is_str(buf_str(&b), "", "cleared");
	buf_puts(&b, "a");
	buf_putc(&b, 'b');
	buf_append(&b, "c\0d", 3);
	buf_append(&b, NULL, 0);
	buf_printf(&b, "%s", "");
	is_int(b.len, 5, "0 bytes in it are bytes");
	is_mem(buf_str(&b), "abc\0d", 6, "what was put in");
	is_int(b.error, 0, "no error so far");
	for (size_t n = 120; n < 140; n++) { /* around the first size; for AddressSanitizer */
		struct buf edge = BUF_INIT;

		for (size_t i = 0; i < n; i++)
			buf_putc(&edge, 'e');
		is_int(strlen(buf_str(&edge)), n, "%zu bytes", n);
		buf_printf(&edge, "%s", "");
		buf_free(&edge);
	}
	alloc_set_gate(refuse);
	buf_append(&b, "xyz", 3);
	is_int(b.error, 0, "no memory is needed while there is room");
	for (int i = 0; i < 100000; i++)
		buf_puts(&b, "0123456789");
	is_int(b.error, -ENOMEM, "no memory sticks");
	ok(refusals == 1, "and is not asked for again (control: it was asked for)");
	is_int(hash_create(&h, DECANT_CHECKSUM_XXH3), -ENOMEM, "a checksum without memory");
	alloc_set_gate(NULL);
	buf_puts(&b, "x");
	is_int(b.error, -ENOMEM, "even when there is memory again");
	ok(buf_take(&b) == NULL, "nothing to take after an error");
	is_int(b.error, 0, "taking resets");
	buf_append(&b, "x", BUF_MAX_BYTES);
	is_int(b.error, -EFBIG, "there is a limit");
	buf_free(&b);
	buf_free(&b);
}

static void json_string_is(const char *raw, size_t len, const char *want)
{
	struct json j = JSON_INIT;

	json_string_n(&j, raw, len);
	is_str(buf_str(&j.buf), want, "as JSON: %s", want);
	json_free(&j);
}

#define JSON_IS(raw, want) json_string_is(raw, sizeof(raw) - 1, "\"" want "\"")
#define BAD "\xef\xbf\xbd"

static void test_json_strings(void)
{
	JSON_IS("", "");
	JSON_IS("plain /", "plain /");
	JSON_IS("\"\\", "\\\"\\\\");
	JSON_IS("\b\f\n\r\t", "\\b\\f\\n\\r\\t");
	JSON_IS("a\0b\x01\x1f\x7f", "a\\u0000b\\u0001\\u001f\\u007f");
	JSON_IS("gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f");
	JSON_IS("\xe2\x82\xac \xf0\x9f\x8d\xb7", "\xe2\x82\xac \xf0\x9f\x8d\xb7");
	JSON_IS("\xc3", BAD);                      /* cut */
	JSON_IS("\xe2\x82", BAD BAD);
	JSON_IS("\xf0\x9f\x8d", BAD BAD BAD);
	JSON_IS("\x80z\xbf", BAD "z" BAD);         /* nothing before it */
	JSON_IS("\xc0\x80\xc1\xbf", BAD BAD BAD BAD); /* overlong */
	JSON_IS("\xe0\x9f\xbf", BAD BAD BAD);
	JSON_IS("\xe0\xa0\x80", "\xe0\xa0\x80");
	JSON_IS("\xf0\x8f\xbf\xbf", BAD BAD BAD BAD);
	JSON_IS("\xed\x9f\xbf", "\xed\x9f\xbf");
	JSON_IS("\xed\xa0\x80", BAD BAD BAD);      /* a surrogate */
	JSON_IS("\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf");
	JSON_IS("\xf4\x90\x80\x80", BAD BAD BAD BAD); /* past the last */
	JSON_IS("\xf5\xff\xfe", BAD BAD BAD);
	JSON_IS("\xc3\"", BAD "\\\"");             /* must not eat the quote */
}

static void test_json(void)
{
	struct json j = JSON_INIT;

	json_object(&j);
	json_member_string(&j, "s", "x");
	json_member_string(&j, "none", NULL);
	json_member_u64(&j, "u", UINT64_MAX);
	json_member_i64(&j, "i", INT64_MIN);
	json_member_bool(&j, "b", true);
	json_member_double(&j, "d", 0.5);
	json_member_double(&j, "nan", (double)NAN);
	json_key(&j, "a");
	json_array(&j);
	json_u64(&j, 1);
	json_bool(&j, false);
	json_null(&j);
	json_object(&j);
	json_end(&j);
	json_array(&j);
	json_end(&j);
	json_end(&j);
	json_member_u64(&j, "q\"", 2);
	json_end(&j);
	is_str(buf_str(&j.buf),
	       "{\"s\":\"x\",\"none\":null,\"u\":18446744073709551615,"
	       "\"i\":-9223372036854775808,\"b\":true,\"d\":0.5,\"nan\":null,"
	       "\"a\":[1,false,null,{},[]],\"q\\\"\":2}", "one of everything");
	is_int(j.depth, 0, "everything is closed");
	is_int(j.buf.error, 0, "no error");
	json_free(&j);
	alloc_set_gate(refuse);
	json_object(&j);
	json_member_string(&j, "s", "x");
	json_end(&j);
	alloc_set_gate(NULL);
	is_int(j.buf.error, -ENOMEM, "no memory is seen at the end");
	json_free(&j);
}

/* --------------------------------------------------------------------- list */

struct item {
	int n;
	struct list link;
};

static void test_list(void)
{
	struct list head = LIST_INIT(head);
	struct item items[3] = { { .n = 0 }, { .n = 1 }, { .n = 2 } };

	ok(list_empty(&head) && !list_pop(&head), "an empty list");
	for (int i = 0; i < 3; i++)
		list_push(&head, &items[i].link);
	list_remove(&items[1].link);
	list_remove(&items[1].link);
	is_int(list_entry(list_pop(&head), struct item, link)->n, 0, "first in, first out");
	is_int(list_entry(list_pop(&head), struct item, link)->n, 2, "without the removed one");
	ok(list_empty(&head), "empty again");
}

int main(void)
{
	tap_case("sentences", test_err);
	tap_case("checksums", test_hash);
	tap_case("numbers with units", test_parse);
	tap_case("checked arithmetic, little endian", test_checked);
	tap_case("growing strings", test_buf);
	tap_case("JSON strings", test_json_strings);
	tap_case("JSON", test_json);
	tap_case("lists", test_list);
	return done();
}
