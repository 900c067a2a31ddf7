/* SPDX-License-Identifier: MIT */
#include "policy/choose.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct mechanism *const choose_all[] = {
	&mechanism_none,
	&mechanism_trace,
	&mechanism_notify,
	&mechanism_preload,
};

/* Programs whose work is to trace others: only one tracer can be. */
static const char *const choose_tracers[] = {
	"criu", "gdb", "gdbserver", "lldb", "lldb-server", "ltrace", "rr", "strace",
};

static bool choose_is_tracer(const char *command)
{
	const char *name = strrchr(command, '/');

	name = name ? name + 1 : command;
	for (size_t i = 0; i < sizeof(choose_tracers) / sizeof(choose_tracers[0]); i++)
		if (strcmp(name, choose_tracers[i]) == 0)
			return true;
	return false;
}

static int choose_named(const char *name, const struct policy *p, bool counted,
			const struct program *program, const struct mechanism **ret,
			struct err *reterr)
{
	for (size_t i = 0; i < sizeof(choose_all) / sizeof(choose_all[0]); i++) {
		int r;

		if (strcmp(choose_all[i]->name, name) != 0)
			continue;
		r = choose_all[i]->fits(p, counted, program, reterr);
		if (r == 0)
			*ret = choose_all[i];
		return r;
	}
	return err_set(reterr, -EINVAL, "mechanism: none is called '%s'", name);
}

int choose_mechanism(const char *name, const struct policy *p, bool counted, const char *command,
		     const struct program *program, const struct mechanism **ret,
		     char why[CHOOSE_WHY_MAX], struct err *reterr)
{
	const char *text;

	if (name && strcmp(name, "dumper") == 0) {
		(void)snprintf(why, CHOOSE_WHY_MAX, "a dumper under a filter could not look at "
			       "those of its victims");
		return choose_named("preload", p, counted, program, ret, reterr);
	}
	if (name) {
		(void)snprintf(why, CHOOSE_WHY_MAX, "as asked");
		return choose_named(name, p, counted, program, ret, reterr);
	}
	if (mechanism_none.fits(p, counted, program, NULL) == 0) {
		*ret = &mechanism_none;
		text = "the kernel's filter answers alone, and nothing is counted";
	} else if (p->stable) {
		*ret = &mechanism_notify;
		text = "stable needs memory of the supervisor";
	} else if (choose_is_tracer(command)) {
		*ret = &mechanism_notify;
		text = "the program traces others, which only one can";
	} else {
		*ret = &mechanism_trace;
		text = "the kernel itself carries the calls out, exactly";
	}
	(void)snprintf(why, CHOOSE_WHY_MAX, "%s", text);
	return (*ret)->fits(p, counted, program, reterr);
}
