/* SPDX-License-Identifier: MIT */
#include "serve/mime.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "serve/span.h"
#include "sys/sys.h"

#define MIME_EXT_MAX 16
#define MIME_TYPE_MAX 128
#define MIME_ENTRIES_MAX 65536

static const char mime_own[] =
	"application/gzip gz tgz\n"
	"application/javascript js mjs\n"
	"application/json json map\n"
	"application/manifest+json webmanifest\n"
	"application/pdf pdf\n"
	"application/wasm wasm\n"
	"application/x-tar tar\n"
	"application/x-xz xz\n"
	"application/xml xml\n"
	"application/zip zip\n"
	"application/zstd zst\n"
	"audio/flac flac\n"
	"audio/mpeg mp3\n"
	"audio/ogg ogg oga opus\n"
	"audio/wav wav\n"
	"font/otf otf\n"
	"font/ttf ttf\n"
	"font/woff woff\n"
	"font/woff2 woff2\n"
	"image/avif avif\n"
	"image/gif gif\n"
	"image/jpeg jpg jpeg\n"
	"image/png png\n"
	"image/svg+xml svg\n"
	"image/vnd.microsoft.icon ico\n"
	"image/webp webp\n"
	"text/css css\n"
	"text/csv csv\n"
	"text/html html htm\n"
	"text/markdown md\n"
	"text/plain txt text log asc c h py sh diff patch conf ini yml yaml toml\n"
	"video/mp4 mp4 m4v\n"
	"video/webm webm\n"
	"video/x-matroska mkv\n";

struct mime_entry {
	char ext[MIME_EXT_MAX];   /* small letters; "": free */
	char *type;
};

/* A table of 2^n places, at most half of them used. */
struct mime {
	struct mime_entry *v;
	size_t size, used;
};

static uint32_t mime_hash(const char *ext)
{
	uint32_t h = 2166136261u;

	for (; *ext; ext++)
		h = (h ^ (unsigned char)*ext) * 16777619u;
	return h ^ h >> 15;
}

static struct mime_entry *mime_place(struct mime_entry *v, size_t size, const char *ext)
{
	size_t i = mime_hash(ext) & (size - 1);

	while (v[i].ext[0] && strcmp(v[i].ext, ext) != 0)
		i = (i + 1) & (size - 1);
	return &v[i];
}

static int mime_grow(struct mime *m)
{
	size_t size = m->size ? m->size * 2 : 256;
	struct mime_entry *v = sys_calloc(size, sizeof(*v));

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < m->size; i++)
		if (m->v[i].ext[0])
			*mime_place(v, size, m->v[i].ext) = m->v[i];
	free(m->v);
	m->v = v;
	m->size = size;
	return 0;
}

/* In small letters; false: none, or too long to be one. */
static bool mime_ext(struct span text, char ret[MIME_EXT_MAX])
{
	if (text.len == 0 || text.len >= MIME_EXT_MAX)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.s[i];

		if (c == '\0')
			return false;
		ret[i] = c >= 'A' && c <= 'Z' ? (char)(c | 32) : c;
	}
	ret[text.len] = '\0';
	return true;
}

static int mime_put(struct mime *m, const char *ext, const char *type)
{
	struct mime_entry *e;
	char *copy;

	if (m->used >= MIME_ENTRIES_MAX)
		return 0;
	if (m->used * 2 >= m->size && mime_grow(m) < 0)
		return -ENOMEM;
	copy = sys_strdup(type);
	if (!copy)
		return -ENOMEM;
	e = mime_place(m->v, m->size, ext);
	m->used += !e->ext[0];
	free(e->type);
	(void)snprintf(e->ext, sizeof(e->ext), "%s", ext);
	e->type = copy;
	return 0;
}

/* Nothing that could end a header field and begin another. */
static bool mime_type_is_good(struct span type)
{
	if (type.len == 0 || type.len > MIME_TYPE_MAX || !memchr(type.s, '/', type.len))
		return false;
	for (size_t i = 0; i < type.len; i++)
		if (type.s[i] <= ' ' || type.s[i] >= 127)
			return false;
	return true;
}

static bool mime_word(struct span *line, struct span *ret)
{
	while (line->len && (line->s[0] == ' ' || line->s[0] == '\t')) {
		line->s++;
		line->len--;
	}
	ret->s = line->s;
	ret->len = 0;
	while (line->len && line->s[0] != ' ' && line->s[0] != '\t') {
		line->s++;
		line->len--;
		ret->len++;
	}
	return ret->len > 0;
}

static int mime_line(struct mime *m, struct span line)
{
	char ext[MIME_EXT_MAX], full[MIME_TYPE_MAX + 20];
	struct span type, word;

	if (line.len && line.s[line.len - 1] == '\r')
		line.len--;
	if (!mime_word(&line, &type) || type.s[0] == '#' || !mime_type_is_good(type))
		return 0;
	(void)snprintf(full, sizeof(full), "%.*s%s", (int)type.len, type.s,
		       type.len > 5 && memcmp(type.s, "text/", 5) == 0 &&
		       !memchr(type.s, ';', type.len) ? "; charset=utf-8" : "");
	while (mime_word(&line, &word) && word.s[0] != '#')
		if (mime_ext(word, ext) && mime_put(m, ext, full) < 0)
			return -ENOMEM;
	return 0;
}

int mime_read(struct mime *m, const char *text, size_t len)
{
	struct span rest = { text, len }, line;
	int r = 0;

	while (r == 0 && span_next(&rest, '\n', &line))
		r = mime_line(m, line);
	return r;
}

struct mime *mime_create(void)
{
	struct mime *m = sys_calloc(1, sizeof(*m));

	if (m && mime_read(m, mime_own, sizeof(mime_own) - 1) < 0) {
		mime_destroy(m);
		return NULL;
	}
	return m;
}

void mime_destroy(struct mime *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->size; i++)
		free(m->v[i].type);
	free(m->v);
	free(m);
}

const char *mime_of(const struct mime *m, const char *name)
{
	const char *dot = strrchr(name, '.');
	char ext[MIME_EXT_MAX];
	const char *type = NULL;

	if (dot && mime_ext(SPAN(dot + 1), ext))
		type = mime_place(m->v, m->size, ext)->type;
	return type ? type : "application/octet-stream";
}
