/* SPDX-License-Identifier: MIT */
/*
 * The directory that a page server's images go to, as it is when the server
 * begins: what is there from before, and who else is at work there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

#include "base/parse.h"
#include "dump/names.h"
#include "sys/name.h"
#include "sys/sys.h"
#include "wire/server.h"

#define HOUSE_IMAGE_MAX 1000000

static int house_count(void *arg, const char *name)
{
	unsigned *n = arg;

	*n += names_parse(name).part;
	return 0;
}

static unsigned house_number(const char *name)
{
	uint64_t n = 0;

	return name[0] != '0' && parse_u64(name, 1, HOUSE_IMAGE_MAX, &n, NULL) == 0 ?
	       (unsigned)n : 0;
}

static int house_highest(void *arg, const char *name)
{
	unsigned *last = arg, n = house_number(name);

	if (n > *last)
		*last = n;
	return 0;
}

int server_images(struct decant_page_server *s, unsigned *ret)
{
	*ret = 0;
	return names_each(dir_fd(s->house), house_highest, ret);
}

/* What is there from before: whole images, and what a killed run left of one. */
static int house_image(void *arg, const char *name)
{
	struct dir_options o = { .flags = DIR_CLEAN };
	struct decant_page_server *s = arg;
	unsigned n = house_number(name), parts = 0;
	_cleanup_close_ int fd = -1;
	char path[DIR_PATH_MAX];
	struct dir *d = NULL;
	int r;

	if (!n)
		return 0;
	fd = sys_openat(dir_fd(s->house), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
			0);
	r = fd < 0 ? fd : names_each(fd, house_count, &parts);
	if (r < 0)
		return err_errno(&s->d->err, r, "%s/%s", s->path, name);
	if (!parts) {
		server_kept(s, n);
		return 0;
	}
	(void)snprintf(path, sizeof(path), "%s/%s", s->path, name);
	if (!(s->o.flags & DECANT_PAGE_SERVER_CLEAN))
		return err_set(&s->d->err, -EEXIST, "%s: a run that was killed left %u unfinished "
			       "file%s here", path, parts, parts == 1 ? "" : "s");
	r = dir_begin(&d, path, &o, &s->d->err);
	dir_close(d);
	(void)sys_unlinkat(dir_fd(s->house), name, AT_REMOVEDIR);
	return r;
}

/* Unfinished files, and nobody who could be at work on them. */
static int house_look(struct decant_page_server *s, struct err *e)
{
	int fd = dir_fd(s->house), r;
	unsigned n = 0;

	if (s->o.flags & DECANT_PAGE_SERVER_CHAIN)
		return names_each(fd, house_image, s);
	r = names_each(fd, house_count, &n);
	if (r < 0)
		return err_errno(e, r, "%s: reading it", s->path);
	if (!n || sys_flock(fd, LOCK_EX | LOCK_NB) < 0)
		return 0;
	return err_set(e, -EEXIST, "%s: a run that was killed left %u unfinished file%s here",
		       s->path, n, n == 1 ? "" : "s");
}

int server_house(struct decant_page_server *s, struct err *e)
{
	struct dir_options o = {
		.parent = s->o.parent,
		.flags = DIR_SHARED |
			 (s->o.flags & DECANT_PAGE_SERVER_CLEAN ? DIR_CLEAN : 0u) |
			 (s->o.flags & DECANT_PAGE_SERVER_SYNC ? DIR_SYNC : 0u),
	};
	int r;

	if (s->o.flags & DECANT_PAGE_SERVER_DISCARD)
		return 0;
	r = dir_begin(&s->house, s->path, &o, e);
	return r < 0 ? r : house_look(s, e);
}
