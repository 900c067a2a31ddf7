/* SPDX-License-Identifier: MIT */
#include "serve/find.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <stdio.h>

#include "serve/listing.h"
#include "sys/proc.h"
#include "sys/sys.h"

#define FIND_ENTRIES_MAX 5000
#define FIND_DENTS_BYTES 32768

/* struct linux_dirent64 */
#define FIND_RECLEN_AT 16
#define FIND_NAME_AT 19

static int find_status(int r)
{
	switch (r) {
	case -EACCES:
	case -EPERM:
	case -EXDEV:     /* it leads out of the directory */
		return 403;
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
	case -EAGAIN:    /* somebody renamed on the way, again and again */
		return 503;
	case -EIO:
		return 500;
	default:
		return 404;
	}
}

/* O_NONBLOCK: a FIFO does not hold us; it is refused when its kind is seen. */
static int find_try(struct worker *w, const char *name)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = RESOLVE_NO_MAGICLINKS |
			   (w->server->o.flags & DECANT_SERVE_FOLLOW ? 0 : RESOLVE_BENEATH),
	};

	return sys_openat2(w->server->dir_fd, *name ? name : ".", &how, sizeof(how));
}

void find_close(struct found *f)
{
	if (f->name)
		names_release(f->name);
	else if (f->fd >= 0)
		(void)sys_close(f->fd);
	f->name = NULL;
	f->fd = -1;
}

int find_open(struct worker *w, const char *name, struct found *ret)
{
	int fd, r;

	ret->encoding = ENCODING_NONE;
	ret->fd = -1;
	ret->name = names_get(w->names, name, &ret->st, w->now_ns,
			     w->reads ? w->scratch : NULL, &ret->read);
	if (ret->name) {
		ret->fd = ret->name->fd;
		if (ret->fd >= 0)
			return 0;
		find_close(ret);
		return 404;
	}
	fd = find_try(w, name);
	/* Files that nobody reads and connections that only wait give way. */
	if (fd == -EMFILE || fd == -ENFILE) {
		if (names_count(w->names))
			names_drop(w->names);
		else
			(void)worker_make_room(w);
		fd = find_try(w, name);
	}
	if (fd == -EAGAIN)
		fd = find_try(w, name);
	if (fd < 0)
		return find_status(fd);
	r = sys_fstat(fd, &ret->st);
	if (r == 0 && !S_ISREG(ret->st.st_mode) && !S_ISDIR(ret->st.st_mode))
		r = -EACCES;
	if (r < 0) {
		(void)sys_close(fd);
		return find_status(r);
	}
	ret->fd = fd;
	return 0;
}

void find_compressed(struct worker *w, char *name, size_t len, struct span accepted,
		     struct found *f)
{
	uint8_t order[ENCODINGS_N];
	unsigned n = encoding_wanted(accepted, order);

	for (unsigned i = 0; i < n; i++) {
		const char *suffix = encoding_suffixes[order[i]];
		struct found other;

		if (len + strlen(suffix) >= PATH_BYTES_MAX)
			return;
		(void)snprintf(name + len, PATH_BYTES_MAX - len, "%s", suffix);
		/* It may be read to where the file itself was. */
		f->read = 0;
		if (find_open(w, name, &other) == 0) {
			if (S_ISREG(other.st.st_mode) &&
			    other.st.st_mtim.tv_sec >= f->st.st_mtim.tv_sec) {
				find_close(f);
				other.encoding = order[i];
				*f = other;
				name[len] = '\0';
				return;
			}
			find_close(&other);
		}
		name[len] = '\0';
	}
}

/* ----------------------------------------------------------- directories */

/* What a link leads to, as a request for it would find it. */
static int find_linked(struct worker *w, const char *dir, const char *name, struct statx *ret)
{
	char path[PATH_BYTES_MAX];
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_NO_MAGICLINKS |
			   (w->server->o.flags & DECANT_SERVE_FOLLOW ? 0 : RESOLVE_BENEATH),
	};
	int fd, r;

	if (snprintf(path, sizeof(path), "%s%s%s", dir, *dir ? "/" : "", name) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = sys_openat2(w->server->dir_fd, path, &how, sizeof(how));
	if (fd < 0)
		return fd;
	r = sys_statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_SIZE | STATX_MTIME, ret);
	(void)sys_close(fd);
	return r;
}

/* false: it would not be served. */
static bool find_entry(struct worker *w, int dir_fd, const char *dir, const char *name,
		       struct listing_entry *ret)
{
	struct statx st;

	if (sys_statx(dir_fd, name, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC,
		      STATX_TYPE | STATX_SIZE | STATX_MTIME, &st) < 0)
		return false;
	if (S_ISLNK(st.stx_mode) && find_linked(w, dir, name, &st) < 0)
		return false;
	if (!S_ISREG(st.stx_mode) && !S_ISDIR(st.stx_mode))
		return false;
	ret->is_dir = S_ISDIR(st.stx_mode);
	ret->size = st.stx_size;
	ret->mtime = st.stx_mtime.tv_sec;
	ret->name = sys_strdup(name);
	return ret->name != NULL;
}

static int find_add(struct worker *w, int dir_fd, const char *name, struct listing *l,
		    size_t *room)
{
	struct listing_entry *v;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	    (name[0] == '.' && !(w->server->o.flags & DECANT_SERVE_HIDDEN)))
		return 0;
	if (l->n >= FIND_ENTRIES_MAX) {
		l->more++;
		return 0;
	}
	if (l->n == *room) {
		*room = *room ? *room * 2 : 64;
		v = sys_realloc(l->v, *room * sizeof(*v));
		if (!v)
			return -ENOMEM;
		l->v = v;
	}
	l->n += find_entry(w, dir_fd, l->path, name, &l->v[l->n]);
	return 0;
}

int find_entries(struct worker *w, int dir_fd, struct listing *l)
{
	_cleanup_free_ char *dents = sys_malloc(FIND_DENTS_BYTES);
	size_t room = 0;
	ssize_t len = 1;
	int r = dents ? 0 : -ENOMEM;

	while (r == 0 && (len = sys_getdents64(dir_fd, dents, FIND_DENTS_BYTES)) > 0) {
		for (ssize_t at = 0; at < len && r == 0;) {
			uint16_t reclen;

			memcpy(&reclen, dents + at + FIND_RECLEN_AT, sizeof(reclen));
			r = find_add(w, dir_fd, dents + at + FIND_NAME_AT, l, &room);
			at += reclen;
		}
		/* So many names are not counted to the end. */
		if (l->more > FIND_ENTRIES_MAX * 20)
			break;
	}
	return r < 0 ? r : len < 0 ? (int)len : 0;
}

void find_entries_free(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i].name);
	free(l->v);
	l->v = NULL;
	l->n = 0;
}
