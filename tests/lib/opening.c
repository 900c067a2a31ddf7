/* SPDX-License-Identifier: MIT */
#include "lib/opening.h"

#include "lib/child.h"
#include "lib/kit.h"
#include "tap.h"

struct caps *opening_caps;

int opening_try(pid_t pid, struct err *e)
{
	unsigned before = kit_fds_open();
	struct target *t = NULL;
	int r;

	*e = (struct err){ "" };
	if (!opening_caps)
		need(caps_create(&opening_caps, NULL, e) == 0, "caps: %s", e->text);
	r = target_open(&t, pid, opening_caps, e);
	if (r < 0)
		ok(t == NULL && e->text[0], "a sentence: %s", e->text);
	target_close(t);
	is_int(kit_fds_open(), before, "no descriptor is left open");
	return r;
}

void opening_refused(pid_t pid, int code, const char *words)
{
	char text[200], *state = NULL;
	struct err e;

	is_int(opening_try(pid, &e), code, "refused");
	diag("%s", e.text);
	snprintf(text, sizeof(text), "%s", words);
	for (char *w = strtok_r(text, "|", &state); w; w = strtok_r(NULL, "|", &state))
		ok(strstr(e.text, w), "\"%s\" is in: %s", w, e.text);
}

void opening_end(pid_t pid)
{
	child_end(pid);
	caps_destroy(opening_caps);
	opening_caps = NULL;
}
