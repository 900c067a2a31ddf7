/* SPDX-License-Identifier: MIT */
/*
 * Many transfers in a poll loop of one's own: each line of standard input is
 * the name of a file, which is thrown away (null) as fast as it can be read.
 */
#include <decant.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static unsigned in_flight;

static void start(struct decant *d, char *name)
{
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	int fd;

	name[strcspn(name, "\n")] = '\0';
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		perror(name);
		return;
	}
	t.from = decant_file(fd, 0);
	t.to = decant_null();
	t.route = "read-write"; /* really read it */
	t.user_data = (uint64_t)fd;
	if (decant_submit(d, &t) < 0) {
		fprintf(stderr, "%s: %s\n", name, decant_strerror(d));
		close(fd);
		return;
	}
	in_flight++;
}

static void finish(struct decant *d)
{
	struct decant_event ev[16];
	int n = decant_wait(d, ev, 16, 0);

	for (int i = 0; i < n; i++) {
		if (ev[i].type != DECANT_ENDED)
			continue;
		printf("%llu bytes%s%s\n", (unsigned long long)ev[i].bytes,
		       ev[i].error ? ", " : "", ev[i].message);
		close((int)ev[i].user_data);
		in_flight--;
	}
}

int main(void)
{
	char line[4096];
	struct decant *d;
	struct pollfd p;

	if (decant_open(&d, NULL) < 0) {
		fprintf(stderr, "decant: %s\n", decant_strerror(NULL));
		return 1;
	}
	p = (struct pollfd){ .fd = decant_event_fd(d), .events = POLLIN };
	while (fgets(line, sizeof(line), stdin))
		start(d, line);
	while (in_flight > 0 && poll(&p, 1, -1) >= 0)
		finish(d);
	decant_close(d);
	return 0;
}
