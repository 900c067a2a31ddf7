/* SPDX-License-Identifier: MIT */
/* The syntax of ends: what each form means, and what is refused. */
#include <errno.h>

#include "end_spec.h"
#include "tap.h"

struct good {
	const char *text;
	bool sink;
	enum end_spec_kind kind;
	const char *path, *host;
	int fd;
	uint64_t size_bytes;
	unsigned port;
};

#define NO END_SPEC_NO_SIZE

static const struct good goods[] = {
	{ "name", false, END_SPEC_PATH, "name", "", -1, NO, 0 },
	{ "./fd:3", true, END_SPEC_PATH, "./fd:3", "", -1, NO, 0 },
	{ "/a/b:c", true, END_SPEC_PATH, "/a/b:c", "", -1, NO, 0 },
	{ "12:30", true, END_SPEC_PATH, "12:30", "", -1, NO, 0 },
	{ "a.b:123456", true, END_SPEC_PATH, "a.b:123456", "", -1, NO, 0 },
	{ "./a.b:12", true, END_SPEC_PATH, "./a.b:12", "", -1, NO, 0 },
	{ "d/a.b:12", true, END_SPEC_PATH, "d/a.b:12", "", -1, NO, 0 },
	{ "A:12", true, END_SPEC_PATH, "A:12", "", -1, NO, 0 },
	{ "c:drive", false, END_SPEC_PATH, "c:drive", "", -1, NO, 0 },
	{ "Name:x", false, END_SPEC_PATH, "Name:x", "", -1, NO, 0 },
	{ "a b:c", false, END_SPEC_PATH, "a b:c", "", -1, NO, 0 },
	{ "file:-", true, END_SPEC_PATH, "-", "", -1, NO, 0 },
	{ "file:fd:3", true, END_SPEC_PATH, "fd:3", "", -1, NO, 0 },
	{ "-", false, END_SPEC_STANDARD, NULL, "", 0, NO, 0 },
	{ "-", true, END_SPEC_STANDARD, NULL, "", 1, NO, 0 },
	{ "fd:7", true, END_SPEC_FD, NULL, "", 7, NO, 0 },
	{ "tcp:host:80", true, END_SPEC_TCP, NULL, "host", -1, NO, 80 },
	{ "tcp:[::1]:65535", true, END_SPEC_TCP, NULL, "::1", -1, NO, 65535 },
	{ "tcp:[host]:1", false, END_SPEC_TCP, NULL, "host", -1, NO, 1 },
	{ "tcp-listen::0", false, END_SPEC_TCP_LISTEN, NULL, "", -1, NO, 0 },
	{ "tcp-listen:[]:9", false, END_SPEC_TCP_LISTEN, NULL, "", -1, NO, 9 },
	{ "tcp-listen:0.0.0.0:9", true, END_SPEC_TCP_LISTEN, NULL, "0.0.0.0", -1, NO, 9 },
	{ "tcp-listen:[::]:9", true, END_SPEC_TCP_LISTEN, NULL, "::", -1, NO, 9 },
	{ "unix:/run/x", false, END_SPEC_UNIX, "/run/x", "", -1, NO, 0 },
	{ "unix-listen:x:y", true, END_SPEC_UNIX_LISTEN, "x:y", "", -1, NO, 0 },
	{ "mem:64M", true, END_SPEC_MEMORY, NULL, "", -1, 64 << 20, 0 },
	{ "mem:1", false, END_SPEC_MEMORY, NULL, "", -1, 1, 0 },
	{ "null:", true, END_SPEC_NULL, NULL, "", -1, NO, 0 },
	{ "zero:", false, END_SPEC_ZERO, NULL, "", -1, NO, 0 },
	{ "zero:0", false, END_SPEC_ZERO, NULL, "", -1, 0, 0 },
	{ "zero:1KB", false, END_SPEC_ZERO, NULL, "", -1, 1000, 0 },
};

/* Each with a word that its sentence must hold. */
static const struct {
	const char *text;
	bool sink;
	const char *says;
} bads[] = {
	{ "", false, "empty" },
	{ "null:", false, "only be a sink" },
	{ "zero:", true, "only be a source" },
	{ "null:x", true, "nothing may follow" },
	{ "file:", false, "path is missing" },
	{ "unix:", false, "path is missing" },
	{ "unix-listen:", false, "path is missing" },
	{ "fd:", true, "fd:" },
	{ "fd:-1", true, "whole number" },
	{ "fd:1x", true, "whole number" },
	{ "fd:4294967296", true, "must be from" },
	{ "mem:", true, "empty" },
	{ "mem:0", true, "at least 1 byte" },
	{ "mem:12Q", true, "no unit" },
	{ "mem:9E", true, "fit in memory" },
	{ "zero:-5", false, "negative" },
	{ "zero:99E", false, "too large" },
	{ "tcp:", true, "port is missing" },
	{ "tcp:host", true, "port is missing" },
	{ "tcp:host:", true, "port" },
	{ "tcp:host:0", true, "from 1 to 65535" },
	{ "tcp:host:65536", true, "from 1 to 65535" },
	{ "tcp::80", true, "host is missing" },
	{ "tcp:[]:80", true, "host is missing" },
	{ "tcp:::1:80", true, "brackets" },
	{ "tcp:[::1]", true, "[ADDRESS]:PORT" },
	{ "tcp:[::1]80", true, "[ADDRESS]:PORT" },
	{ "tcp:[::1:80", true, "[ADDRESS]:PORT" },
	{ "tcp:a b:80", true, "no host's name" },
	{ "tcp-listen:80", true, "port is missing" },
	{ "tcp-listen:80", true, "tcp-listen::80" },
	{ "tcp-listen:host", true, "port is missing" },
	{ "localhost:80", true, "tcp:localhost:80" },
	{ "localhost:80", true, "./localhost:80" },
	{ "10.0.0.1:80", true, "tcp:10.0.0.1:80" },
	{ "10.0.0.1:80", false, "./10.0.0.1:80" },
	{ "Web-1.example:8080", true, "tcp:Web-1.example:8080" },
	{ "tcp-listen::x", true, "whole number" },
	{ "tpc:host:80", true, "no kind of end" },
	{ "http://host/x", false, "no kind of end" },
	{ "udp:host:80", true, "./udp:host:80" },
};

static void test_good(const struct good *g)
{
	struct end_spec spec;
	struct err e = { "" };

	is_int(end_spec_parse(g->text, g->sink, &spec, &e), 0, "\"%s\" is understood", g->text);
	is_int(spec.kind, g->kind, "\"%s\": its kind", g->text);
	is_str(spec.path, g->path, "\"%s\": its path", g->text);
	is_str(spec.host, g->host, "\"%s\": its host", g->text);
	ok(spec.fd == g->fd && spec.size_bytes == g->size_bytes && spec.port == g->port,
	   "\"%s\": its numbers", g->text);
	is_str(spec.text, g->text, "\"%s\": kept as given", g->text);
}

static void test_bad(size_t i)
{
	struct end_spec spec, before;
	struct err e = { "" };

	memset(&spec, 0x5a, sizeof(spec));
	before = spec;
	is_int(end_spec_parse(bads[i].text, bads[i].sink, &spec, &e), -EINVAL,
	       "\"%s\" is refused", bads[i].text);
	if (!ok(strstr(e.text, bads[i].says) != NULL, "\"%s\": the sentence says \"%s\"",
		bads[i].text, bads[i].says))
		diag("it says \"%s\"", e.text);
	ok(memcmp(&spec, &before, sizeof(spec)) == 0, "\"%s\": the result is untouched",
	   bads[i].text);
}

static void test_long(void)
{
	char text[600] = "tcp:";
	struct end_spec spec;

	memset(text + 4, 'h', 255);
	strcpy(text + 4 + 255, ":80");
	is_int(end_spec_parse(text, true, &spec, NULL), 0, "the longest host name fits");
	memset(text + 4, 'h', 256);
	strcpy(text + 4 + 256, ":80");
	is_int(end_spec_parse(text, true, &spec, NULL), -EINVAL, "a longer one is refused");
	memset(text, 0, sizeof(text));
	strcpy(text, "unix:");
	memset(text + 5, 'p', 107);
	is_int(end_spec_parse(text, true, &spec, NULL), 0, "the longest socket path fits");
	text[5 + 107] = 'p';
	is_int(end_spec_parse(text, true, &spec, NULL), -EINVAL, "a longer one is refused");
}

int main(void)
{
	for (size_t i = 0; i < sizeof(goods) / sizeof(goods[0]); i++)
		test_good(&goods[i]);
	for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++)
		test_bad(i);
	test_long();
	return done();
}
