/* SPDX-License-Identifier: MIT */
/* decant_serve_...(): the public way into this directory; paths, sockets, tables. */
#include "serve/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "base/parse.h"
#include "serve/worker.h"
#include "sys/sys.h"

#define SERVE_SIZE_MIN offsetof(struct decant_serve_options, mask)
#define SERVE_LISTEN "127.0.0.1:8080"
#define SERVE_BACKLOG 4096
#define SERVE_IDLE_MS 60000
#define SERVE_HEAD_MS 15000
#define SERVE_STALL_MS 60000
#define SERVE_MIME_FILE "/etc/mime.types"
#define SERVE_MIME_MAX_BYTES (4u << 20)
#define SERVE_RATE_MIN 64

/* -------------------------------------------------------------- options */

static uint32_t serve_or(uint32_t v, uint32_t otherwise)
{
	return v ? v : otherwise;
}

static int serve_options(struct decant_server *s, const struct decant_serve_options *o,
			 struct err *reterr)
{
	if (!o || o->size < SERVE_SIZE_MIN || o->size > 4096)
		return err_set(reterr, -EINVAL, "serve: options: size is not set");
	memcpy(&s->o, o, o->size < sizeof(s->o) ? o->size : sizeof(s->o));
	if (s->o.flags & ~(uint32_t)(DECANT_SERVE_LOG_JSON * 2 - 1))
		return err_set(reterr, -EINVAL, "serve: flags: not known");
	if (!s->o.path || !s->o.path[0])
		return err_set(reterr, -EINVAL, "serve: path: nothing is to be served");
	if (s->o.workers > SERVE_WORKERS_MAX)
		return err_set(reterr, -EINVAL, "serve: workers: at most %d", SERVE_WORKERS_MAX);
	if ((s->o.rate_bytes && s->o.rate_bytes < SERVE_RATE_MIN) ||
	    (s->o.client_rate_bytes && s->o.client_rate_bytes < SERVE_RATE_MIN))
		return err_set(reterr, -EINVAL, "serve: rate: at least %d bytes a second",
			       SERVE_RATE_MIN);
	s->workers_n = s->o.workers ? s->o.workers : sys_cpus();
	if (s->workers_n > SERVE_WORKERS_MAX)
		s->workers_n = SERVE_WORKERS_MAX;
	s->o.idle_ms = serve_or(s->o.idle_ms, SERVE_IDLE_MS);
	s->o.head_ms = serve_or(s->o.head_ms, SERVE_HEAD_MS);
	s->o.stall_ms = serve_or(s->o.stall_ms, SERVE_STALL_MS);
	if (s->o.mask && !(s->mask = sys_strdup(s->o.mask)))
		return err_set(reterr, -ENOMEM, "serve: out of memory");
	return 0;
}

/* ------------------------------------------------------------- sockets */

/* "127.0.0.1:80", "[::1]:80", ":80" (everywhere), "80" (here). */
static int serve_address(const char *text, struct sockaddr_storage *ret, struct err *reterr)
{
	struct sockaddr_in6 *v6 = (void *)ret;
	struct sockaddr_in *v4 = (void *)ret;
	const char *colon = strrchr(text, ':'), *port = colon ? colon + 1 : text;
	size_t len = colon ? (size_t)(colon - text) : 0;
	char host[INET6_ADDRSTRLEN + 2];
	uint64_t n;

	memset(ret, 0, sizeof(*ret));
	if (parse_u64(port, 0, 65535, &n, reterr) < 0)
		return err_set(reterr, -EINVAL, "listen: '%s': no port between 0 and 65535", text);
	if (len >= sizeof(host))
		return err_set(reterr, -EINVAL, "listen: '%s': no address", text);
	(void)snprintf(host, sizeof(host), "%.*s", (int)len, text);
	if (!colon || strcmp(host, "localhost") == 0)
		(void)snprintf(host, sizeof(host), "127.0.0.1");
	else if (len == 0)
		(void)snprintf(host, sizeof(host), "[::]");
	if (host[0] == '[' && host[strlen(host) - 1] == ']') {
		host[strlen(host) - 1] = '\0';
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)n);
		if (inet_pton(AF_INET6, host + 1, &v6->sin6_addr) == 1)
			return 0;
	} else {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)n);
		if (inet_pton(AF_INET, host, &v4->sin_addr) == 1)
			return 0;
	}
	return err_set(reterr, -EINVAL, "listen: '%s': no numeric address", text);
}

static socklen_t serve_address_len(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

static void serve_address_text(const struct sockaddr_storage *a, char *ret, size_t size)
{
	const struct sockaddr_in6 *v6 = (const void *)a;
	const struct sockaddr_in *v4 = (const void *)a;
	char host[INET6_ADDRSTRLEN] = "?";

	if (a->ss_family == AF_INET6) {
		(void)inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		(void)snprintf(ret, size, "[%s]:%u", host, ntohs(v6->sin6_port));
	} else {
		(void)inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		(void)snprintf(ret, size, "%s:%u", host, ntohs(v4->sin_port));
	}
}

static int serve_bind(const struct sockaddr_storage *a, bool shared)
{
	_cleanup_close_ int fd = sys_socket(a->ss_family,
					    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1, r = fd;

	if (r >= 0)
		r = sys_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (r >= 0 && shared)
		r = sys_setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	/* Accepted sockets inherit it. */
	if (r >= 0)
		r = sys_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (r >= 0)
		r = sys_bind(fd, (const struct sockaddr *)a, serve_address_len(a));
	return r < 0 ? r : take_fd(&fd);
}

static int serve_listen(struct decant_server *s, struct err *reterr)
{
	socklen_t len = sizeof(s->address);
	char text[64];
	int r, fd;

	r = serve_address(s->o.listen ? s->o.listen : SERVE_LISTEN, &s->address, reterr);
	if (r < 0)
		return r;
	serve_address_text(&s->address, text, sizeof(text));
	/* Sockets that share a port would share it with another server, too: see first. */
	fd = serve_bind(&s->address, false);
	if (fd < 0)
		return err_errno(reterr, fd, "listen: %s", text);
	r = sys_getsockname(fd, (struct sockaddr *)&s->address, &len);
	(void)sys_close(fd);
	for (uint32_t i = 0; r >= 0 && i < s->workers_n; i++) {
		fd = serve_bind(&s->address, s->workers_n > 1);
		if (fd >= 0) {
			s->listen_fds[i] = fd;
			r = sys_listen(fd, SERVE_BACKLOG);
		} else {
			r = fd;
		}
	}
	return r < 0 ? err_errno(reterr, r, "listen: %s", text) : 0;
}

/* --------------------------------------------------------------- files */

/* One file: its directory, and its name there; by its real path, where links end. */
static int serve_open_single(struct decant_server *s, int fd, struct err *reterr)
{
	char self[40], path[PATH_BYTES_MAX], *slash;
	ssize_t n;

	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	n = sys_readlink(self, path, sizeof(path));
	if (n < 0)
		return err_errno(reterr, (int)n, "%s: where is it", s->o.path);
	slash = strrchr(path, '/');
	if (!slash || !slash[1])
		return err_set(reterr, -ENOENT, "%s: where is it", s->o.path);
	s->single = sys_strdup(slash + 1);
	slash[slash == path] = '\0';
	s->dir_fd = sys_open(path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (s->dir_fd < 0)
		return err_errno(reterr, s->dir_fd, "%s", path);
	return s->single ? 0 : err_set(reterr, -ENOMEM, "serve: out of memory");
}

static int serve_open_path(struct decant_server *s, struct err *reterr)
{
	int fd = sys_open(s->o.path, O_PATH | O_CLOEXEC, 0), r;
	struct stat st;

	if (fd < 0)
		return err_errno(reterr, fd, "%s", s->o.path);
	r = sys_fstat(fd, &st);
	if (r < 0) {
		r = err_errno(reterr, r, "%s", s->o.path);
	} else if (S_ISDIR(st.st_mode)) {
		s->dir_fd = fd;
		return 0;
	} else if (S_ISREG(st.st_mode)) {
		r = serve_open_single(s, fd, reterr);
	} else {
		r = err_set(reterr, -ENOTSUP, "%s: neither a directory nor a regular file",
			    s->o.path);
	}
	(void)sys_close(fd);
	return r;
}

/* -ENOENT is no error where needed is false. */
static int serve_read_types(struct mime *m, const char *path, bool needed, struct err *reterr)
{
	_cleanup_close_ int fd = sys_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	ssize_t n = fd;

	if (fd < 0 && !needed)
		return 0;
	if (fd >= 0) {
		text = sys_malloc(SERVE_MIME_MAX_BYTES);
		n = text ? 0 : -ENOMEM;
	}
	while (n >= 0 && len < SERVE_MIME_MAX_BYTES) {
		n = sys_read(fd, text + len, SERVE_MIME_MAX_BYTES - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	if (n == 0)
		n = mime_read(m, text, len);
	return n < 0 ? err_errno(reterr, (int)n, "media types: %s", path) : 0;
}

static int serve_types(struct decant_server *s, struct err *reterr)
{
	int r;

	s->mime = mime_create();
	if (!s->mime)
		return err_set(reterr, -ENOMEM, "serve: out of memory");
	r = serve_read_types(s->mime, SERVE_MIME_FILE, false, reterr);
	if (r == 0 && s->o.mime_file)
		r = serve_read_types(s->mime, s->o.mime_file, true, reterr);
	return r;
}

/* ---------------------------------------------------------------- life */

static int serve_prepare(struct decant_server *s, const struct decant_serve_options *o,
			 struct err *reterr)
{
	void *shared;
	int r = serve_options(s, o, reterr);

	if (r == 0)
		r = serve_open_path(s, reterr);
	if (r == 0)
		r = serve_types(s, reterr);
	if (r == 0)
		r = serve_listen(s, reterr);
	if (r < 0)
		return r;
	r = sys_mmap(&shared, NULL, sizeof(*s->shared), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r < 0)
		return err_errno(reterr, r, "serve: shared memory");
	s->shared = shared;
	s->limits = (struct limits){ &s->shared->limit, s->o.rate_bytes, s->o.client_rate_bytes };
	return 0;
}

/* size is set, and right. */
static void serve_fill(const struct decant_server *s, struct decant_serve_report *ret)
{
	struct decant_serve_report r = DECANT_SERVE_REPORT_INIT;

	r.size = ret->size;
	r.workers = s->workers_n;
	for (uint32_t i = 0; i < s->workers_n; i++) {
		const struct serve_worker_state *w = &s->shared->workers[i];

		r.connections += atomic_load(&w->connections);
		r.requests += atomic_load(&w->requests);
		r.sent_bytes += atomic_load(&w->sent_bytes);
		r.lost_lines += atomic_load(&w->log_lost);
	}
	serve_address_text(&s->address, r.address, sizeof(r.address));
	memcpy(ret, &r, r.size < sizeof(r) ? r.size : sizeof(r));
}

static void serve_message(struct decant_serve_report *report, const struct err *e)
{
	if (report && report->size >= offsetof(struct decant_serve_report, message) +
					      sizeof(report->message))
		(void)snprintf(report->message, sizeof(report->message), "%s", e->text);
}

int decant_serve_open(struct decant_server **ret, const struct decant_serve_options *options,
		      struct decant_serve_report *report)
{
	struct decant_server *s;
	struct err e = { "" };
	int r;

	if (!ret)
		return -EINVAL;
	s = sys_calloc(1, sizeof(*s));
	if (!s) {
		serve_message(report, &(struct err){ "serve: out of memory" });
		return -ENOMEM;
	}
	s->dir_fd = -1;
	for (uint32_t i = 0; i < SERVE_WORKERS_MAX; i++) {
		s->listen_fds[i] = -1;
		atomic_init(&s->wake_fds[i], -1);
	}
	r = serve_prepare(s, options, &e);
	if (r < 0) {
		decant_serve_close(s);
		serve_message(report, &e);
		return r;
	}
	/* Strings of the caller's are not looked at any more. */
	s->o.path = s->o.listen = s->o.mime_file = s->o.mask = NULL;
	if (report)
		serve_fill(s, report);
	*ret = s;
	return 0;
}

int decant_serve_run(struct decant_server *s, uint32_t worker, struct decant_serve_report *report)
{
	struct err e = { "" };
	int r, fd;

	if (!s || worker >= s->workers_n)
		return -EINVAL;
	if (atomic_load(&s->wake_fds[worker]) >= 0)
		return -EBUSY;
	fd = sys_eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0) {
		err_errno(&e, fd, "serve: worker %u", worker);
		serve_message(report, &e);
		return fd;
	}
	atomic_store(&s->wake_fds[worker], fd);
	r = worker_run(s, worker, fd, &e);
	atomic_store(&s->wake_fds[worker], -1);
	(void)sys_close(fd);
	if (report)
		serve_fill(s, report);
	if (r < 0)
		serve_message(report, &e);
	return r;
}

void decant_serve_stop(struct decant_server *s, uint32_t grace_ms)
{
	uint64_t one = 1, until = sys_clock_ns() + grace_ms * 1000000ull;
	uint64_t old = atomic_load(&s->stop_ns);

	/* The sooner of what was asked for. */
	while ((old == 0 || until < old) &&
	       !atomic_compare_exchange_weak(&s->stop_ns, &old, until))
		;
	if (grace_ms == 0)
		atomic_store(&s->stopping, 2);
	else if (atomic_load(&s->stopping) == 0)
		atomic_store(&s->stopping, 1);
	for (uint32_t i = 0; i < s->workers_n; i++) {
		int fd = atomic_load(&s->wake_fds[i]);

		if (fd >= 0)
			(void)!sys_write(fd, &one, sizeof(one));
	}
}

int decant_serve_status(const struct decant_server *s, struct decant_serve_report *ret)
{
	if (!s || !ret || ret->size < sizeof(uint32_t) || ret->size > 4096)
		return -EINVAL;
	serve_fill(s, ret);
	return 0;
}

void decant_serve_close(struct decant_server *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < SERVE_WORKERS_MAX; i++)
		if (s->listen_fds[i] >= 0)
			(void)sys_close(s->listen_fds[i]);
	(void)sys_close(s->dir_fd);
	if (s->shared)
		(void)sys_munmap(s->shared, sizeof(*s->shared));
	mime_destroy(s->mime);
	free(s->single);
	free(s->mask);
	free(s);
}
