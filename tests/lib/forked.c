/* SPDX-License-Identifier: MIT */
#include "lib/forked.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/kit.h"

struct forked_order {
	long (*fn)(uintptr_t arg);
	uintptr_t arg;
};

static void forked_serve(int ask, int answer)
{
	struct forked_order order;
	long result;

	while (read(ask, &order, sizeof(order)) == sizeof(order)) {
		result = order.fn(order.arg);
		if (write(answer, &result, sizeof(result)) != sizeof(result))
			_exit(1);
	}
	_exit(0);
}

void forked_start(struct forked *f, const char *mask)
{
	int ask[2], answer[2];
	struct err e;

	*f = (struct forked){ .pid = -1 };
	if (caps_create(&f->caps, mask, &e) < 0)
		kit_die("%s", e.text);
	kit_must(pipe(ask));
	kit_must(pipe(answer));
	f->pid = kit_must(fork());
	if (f->pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ask[1]);
		close(answer[0]);
		forked_serve(ask[0], answer[1]);
	}
	close(ask[0]);
	close(answer[1]);
	f->ask = ask[1];
	f->answer = answer[0];
}

void forked_begin(struct forked *f, long (*fn)(uintptr_t arg), uintptr_t arg)
{
	struct forked_order order = { fn, arg };

	if (write(f->ask, &order, sizeof(order)) != sizeof(order))
		kit_die("the victim does not take orders: %m");
}

long forked_wait(struct forked *f)
{
	long result;

	if (read(f->answer, &result, sizeof(result)) != sizeof(result))
		kit_die("the victim is gone");
	return result;
}

long forked_do(struct forked *f, long (*fn)(uintptr_t arg), uintptr_t arg)
{
	forked_begin(f, fn, arg);
	return forked_wait(f);
}

struct target *forked_open(struct forked *f)
{
	struct err e = { "" };

	if (target_open(&f->target, f->pid, f->caps, &e) < 0)
		kit_die("%s", e.text);
	return f->target;
}

void forked_end(struct forked *f)
{
	target_close(f->target);
	close(f->ask);
	close(f->answer);
	(void)kill(f->pid, SIGKILL);
	(void)waitpid(f->pid, NULL, 0);
	caps_destroy(f->caps);
}

char *forked_put(size_t at, size_t len, int prot, int flags)
{
	char *p = mmap(FORKED_AT + at, len, prot, flags | MAP_FIXED, -1, 0);

	if (p == MAP_FAILED)
		_exit(9);
	return p;
}
