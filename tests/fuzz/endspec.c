/* SPDX-License-Identifier: MIT */
/* Ends of a command line.  First byte: even for a source, odd for a sink. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "end_spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the rest of the program relies on. */
static void check(const struct end_spec *s, const char *text, size_t len)
{
	if (s->text != text)
		abort();
	if (s->path && (s->path < text || s->path > text + len || !*s->path))
		abort();
	if (!memchr(s->host, '\0', sizeof(s->host)))
		abort();
	if (s->kind == END_SPEC_TCP && (!s->host[0] || s->port == 0))
		abort();
	if (s->kind == END_SPEC_MEMORY && (s->size_bytes == 0 || s->size_bytes > INT64_MAX))
		abort();
	if ((s->kind == END_SPEC_FD || s->kind == END_SPEC_STANDARD) != (s->fd >= 0))
		abort();
	if ((s->kind == END_SPEC_UNIX || s->kind == END_SPEC_UNIX_LISTEN) &&
	    strlen(s->path) > END_SPEC_UNIX_MAX)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct end_spec spec;
	struct err e = { "" };
	char *text;
	int r;

	if (size == 0)
		return 0;
	text = malloc(size);
	if (!text)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	r = end_spec_parse(text, data[0] & 1, &spec, &e);
	if (r == 0)
		check(&spec, text, size);
	else if (r != -EINVAL || !e.text[0])
		abort();
	free(text);
	return 0;
}
