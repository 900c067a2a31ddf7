/* SPDX-License-Identifier: MIT */
#include "lib/reader.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/kit.h"

#define READER_CHUNK 65536

static void *reader_run(void *arg)
{
	struct reader *r = arg;
	uint64_t chunk = r->chunk ? r->chunk : READER_CHUNK;
	unsigned char *buf = malloc(chunk);
	uint64_t count;

	if (read(r->go, &count, sizeof(count)) != sizeof(count))
		kit_die("eventfd: %m");
	while (r->limit == 0 || r->bytes < r->limit) {
		struct pollfd pfd = { .fd = r->fd, .events = POLLIN };
		uint64_t want =
			r->limit && r->limit - r->bytes < chunk ? r->limit - r->bytes : chunk;
		ssize_t n = read(r->fd, buf, want);

		if (n < 0 && errno == EAGAIN)
			poll(&pfd, 1, 1000);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			r->error = -errno;
		if (n <= 0)
			break;
		if (r->gen)
			pattern_check(&r->report, buf, (uint64_t)n, r->offset + r->bytes, r->gen);
		r->bytes += (uint64_t)n;
		if (r->pause_us)
			usleep(r->pause_us);
	}
	free(buf);
	return NULL;
}

void reader_start(struct reader *r)
{
	r->report = (struct pattern_report){ 0 };
	r->bytes = 0;
	r->error = 0;
	r->go = kit_must(eventfd(0, EFD_CLOEXEC));
	errno = pthread_create(&r->thread, NULL, reader_run, r);
	if (errno)
		kit_die("pthread_create: %m");
}

void reader_go(struct reader *r)
{
	uint64_t one = 1;

	if (write(r->go, &one, sizeof(one)) != sizeof(one))
		kit_die("eventfd: %m");
}

void reader_join(struct reader *r)
{
	pthread_join(r->thread, NULL);
	close(r->go);
}
