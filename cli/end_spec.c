/* SPDX-License-Identifier: MIT */
#include "end_spec.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/parse.h"

struct end_spec_scheme {
	const char *name;   /* with the colon */
	enum end_spec_kind kind;
	bool no_source, no_sink;
	int (*parse)(const char *rest, struct end_spec *spec, struct err *e);
};

static int end_spec_path(const char *rest, struct end_spec *spec, struct err *e)
{
	if (!rest[0])
		return err_set(e, -EINVAL, "%s: a path is missing", spec->text);
	spec->path = rest;
	return 0;
}

static int end_spec_unix(const char *rest, struct end_spec *spec, struct err *e)
{
	if (strlen(rest) > END_SPEC_UNIX_MAX)
		return err_set(e, -EINVAL, "%.40s...: a socket's path has at most %d bytes",
			       spec->text, END_SPEC_UNIX_MAX);
	return end_spec_path(rest, spec, e);
}

static int end_spec_fd(const char *rest, struct end_spec *spec, struct err *e)
{
	uint64_t fd;

	if (parse_u64(rest, 0, INT32_MAX, &fd, e) < 0)
		return err_wrap(e, -EINVAL, "%.40s", spec->text);
	spec->fd = (int)fd;
	return 0;
}

static int end_spec_memory(const char *rest, struct end_spec *spec, struct err *e)
{
	if (parse_size(rest, &spec->size_bytes, e) < 0)
		return err_wrap(e, -EINVAL, "%.40s", spec->text);
	if (spec->size_bytes == 0 || spec->size_bytes > INT64_MAX)
		return err_set(e, -EINVAL, "%.40s: the size must be at least 1 byte, and fit in "
			       "memory", spec->text);
	return 0;
}

static int end_spec_nothing(const char *rest, struct end_spec *spec, struct err *e)
{
	if (rest[0])
		return err_set(e, -EINVAL, "%.40s: nothing may follow the colon", spec->text);
	return 0;
}

static int end_spec_zero(const char *rest, struct end_spec *spec, struct err *e)
{
	if (!rest[0])
		return 0;
	if (parse_size(rest, &spec->size_bytes, e) < 0)
		return err_wrap(e, -EINVAL, "%.40s", spec->text);
	if (spec->size_bytes > INT64_MAX)
		return err_set(e, -EINVAL, "%.40s: the size is too large", spec->text);
	return 0;
}

static bool end_spec_is_port(const char *text)
{
	size_t n = strspn(text, "0123456789");

	return n > 0 && n <= 5 && text[n] == '\0';
}

static int end_spec_no_port(const char *rest, const struct end_spec *spec, struct err *e)
{
	if (spec->kind == END_SPEC_TCP_LISTEN && end_spec_is_port(rest))
		return err_set(e, -EINVAL, "%.60s: the port is missing; or, if that is the port, "
			       "the address: tcp-listen::%.5s for loopback, "
			       "tcp-listen:0.0.0.0:%.5s for all", spec->text, rest, rest);
	return err_set(e, -EINVAL, "%.60s: the port is missing", spec->text);
}

/* The host in front of the last colon, or in brackets; *port behind it. */
static int end_spec_host(const char *rest, struct end_spec *spec, const char **port,
			 struct err *e)
{
	const char *end, *host = rest;
	size_t len;

	if (rest[0] == '[') {
		host = rest + 1;
		end = strchr(host, ']');
		if (!end || end[1] != ':')
			return err_set(e, -EINVAL, "%.60s: write [ADDRESS]:PORT", spec->text);
		*port = end + 2;
	} else {
		end = strrchr(rest, ':');
		if (!end)
			return end_spec_no_port(rest, spec, e);
		if (memchr(rest, ':', (size_t)(end - rest)))
			return err_set(e, -EINVAL, "%.60s: an IPv6 address goes in brackets",
				       spec->text);
		*port = end + 1;
	}
	len = (size_t)(end - host);
	if (len > END_SPEC_HOST_MAX)
		return err_set(e, -EINVAL, "%.40s...: the host's name is too long", spec->text);
	memcpy(spec->host, host, len);
	spec->host[len] = '\0';
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)host[i] <= ' ' || host[i] == 0x7f)
			return err_set(e, -EINVAL, "%.60s: is no host's name", spec->text);
	return 0;
}

static int end_spec_tcp(const char *rest, struct end_spec *spec, struct err *e)
{
	bool listens = spec->kind == END_SPEC_TCP_LISTEN;
	const char *port_text = "";
	uint64_t port;
	int r;

	r = end_spec_host(rest, spec, &port_text, e);
	if (r < 0)
		return r;
	if (!listens && !spec->host[0])
		return err_set(e, -EINVAL, "%.60s: the host is missing", spec->text);
	if (parse_u64(port_text, listens ? 0 : 1, 65535, &port, e) < 0)
		return err_wrap(e, -EINVAL, "%.60s: port", spec->text);
	spec->port = (uint16_t)port;
	return 0;
}

static const struct end_spec_scheme end_spec_schemes[] = {
	{ "file:", END_SPEC_PATH, false, false, end_spec_path },
	{ "fd:", END_SPEC_FD, false, false, end_spec_fd },
	{ "tcp:", END_SPEC_TCP, false, false, end_spec_tcp },
	{ "tcp-listen:", END_SPEC_TCP_LISTEN, false, false, end_spec_tcp },
	{ "unix:", END_SPEC_UNIX, false, false, end_spec_unix },
	{ "unix-listen:", END_SPEC_UNIX_LISTEN, false, false, end_spec_unix },
	{ "mem:", END_SPEC_MEMORY, false, false, end_spec_memory },
	{ "null:", END_SPEC_NULL, true, false, end_spec_nothing },
	{ "zero:", END_SPEC_ZERO, false, true, end_spec_zero },
};

/*
 * Length of a leading "word:", or 0.  A mistyped kind must not become a file:
 * so every such word is taken for one, and odd names need ./ in front.
 */
static size_t end_spec_word(const char *text)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz-");

	return n > 1 && text[0] != '-' && text[n] == ':' ? n + 1 : 0;
}

/* "host:80", "10.0.0.1:80": who says that means a peer, not a file of that name. */
static bool end_spec_is_peer(const char *text, size_t word)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				"0123456789.-");
	const char *dot = memchr(text, '.', n);

	return n > 0 && text[n] == ':' && end_spec_is_port(text + n + 1) && (word || dot);
}

int end_spec_parse(const char *text, bool sink, struct end_spec *ret, struct err *reterr)
{
	struct end_spec spec = { .text = text, .fd = -1, .size_bytes = END_SPEC_NO_SIZE };
	size_t word = end_spec_word(text);
	int r;

	if (!text[0])
		return err_set(reterr, -EINVAL, "an end may not be empty");
	if (strcmp(text, "-") == 0) {
		spec.kind = END_SPEC_STANDARD;
		spec.fd = sink ? 1 : 0;
		*ret = spec;
		return 0;
	}
	if (!word && end_spec_is_peer(text, word))
		return err_set(reterr, -EINVAL, "%.40s: a peer is tcp:%.40s, a file of that name "
			       "./%.40s", text, text, text);
	if (!word) {
		spec.kind = END_SPEC_PATH;
		spec.path = text;
		*ret = spec;
		return 0;
	}
	for (size_t i = 0; i < sizeof(end_spec_schemes) / sizeof(end_spec_schemes[0]); i++) {
		const struct end_spec_scheme *s = &end_spec_schemes[i];

		if (strlen(s->name) != word || memcmp(s->name, text, word) != 0)
			continue;
		if (sink ? s->no_sink : s->no_source)
			return err_set(reterr, -EINVAL, "%.40s: can only be a %s", text,
				       s->no_sink ? "source" : "sink");
		spec.kind = s->kind;
		r = s->parse(text + word, &spec, reterr);
		if (r == 0)
			*ret = spec;
		return r;
	}
	if (end_spec_is_peer(text, word))
		return err_set(reterr, -EINVAL, "%.40s: no kind of end is called '%.*s' (a peer: "
			       "tcp:%.40s; a file of that name: ./%.40s)", text,
			       (int)(word > 40 ? 40 : word), text, text, text);
	return err_set(reterr, -EINVAL, "%.40s: no kind of end is called '%.*s' (a file of that "
		       "name: ./%.40s)", text, (int)(word > 40 ? 40 : word), text, text);
}

bool end_spec_is_socket(const struct end_spec *spec)
{
	return spec->kind == END_SPEC_TCP || spec->kind == END_SPEC_TCP_LISTEN ||
	       spec->kind == END_SPEC_UNIX || spec->kind == END_SPEC_UNIX_LISTEN;
}
