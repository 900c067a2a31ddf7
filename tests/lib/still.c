/* SPDX-License-Identifier: MIT */
#include "lib/still.h"

#include <dirent.h>
#include <stdlib.h>

#include "tap.h"

static bool still_knows(const struct stop *s, pid_t tid)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->threads[i].tid == tid)
			return s->threads[i].stopped;
	return false;
}

int still_look(struct stopper *k, void *arg)
{
	struct still *o = arg;
	char path[64];
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", k->target->pid);
	dir = opendir(path);
	o->threads = o->zombies = 0;
	while (dir && (e = readdir(dir))) {
		pid_t tid = atoi(e->d_name);
		char state = tid > 0 ? stopper_state(k->target->pid, tid) : 't';

		o->threads += tid > 0;
		o->zombies += state == 'Z';
		o->moving += state != 't' && state != 'Z';
		o->missing += tid > 0 && state != 'Z' && !still_knows(&k->stop, tid);
	}
	if (dir)
		closedir(dir);
	o->first = k->stop.threads[0].tid;
	o->stops++;
	return 0;
}

void still_open(struct stopper *k, struct still *o, pid_t pid)
{
	*o = (struct still){ 0 };
	stopper_open(k, pid);
	k->look = still_look;
	k->look_arg = o;
}

void still_says(const struct still *o, unsigned stops)
{
	is_int(o->moving, 0, "no thread moved in a stop");
	is_int(o->missing, 0, "no thread was missing");
	ok(o->stops >= stops, "%u stops", o->stops);
}
