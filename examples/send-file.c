/* SPDX-License-Identifier: MIT */
/*
 * Send a file over TCP, and say when the file may be changed again.
 *
 *	decant copy tcp-listen::7000 null: &
 *	example-send-file FILE 127.0.0.1 7000
 */
#include <arpa/inet.h>
#include <decant.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int dial(const char *host, const char *port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || inet_pton(AF_INET, host, &to.sin_addr) != 1 ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return -1;
	return fd;
}

static void say(const struct decant_event *ev)
{
	switch (ev->type) {
	case DECANT_SNAPSHOTTED:
		printf("%llu bytes are safe: the file may change\n",
		       (unsigned long long)ev->bytes);
		break;
	case DECANT_DELIVERED:
		printf("%llu bytes were acknowledged by the peer's kernel\n",
		       (unsigned long long)ev->bytes);
		break;
	case DECANT_ENDED:
		printf("%s by %s: %llu bytes%s%s\n", ev->error ? "failed" : "done", ev->route,
		       (unsigned long long)ev->bytes, ev->error ? ", " : "", ev->message);
		break;
	}
}

int main(int argc, char **argv)
{
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct decant_event ev = { .type = 0 };
	struct decant *d;
	int file, sock, r = 1;

	if (argc != 4) {
		fprintf(stderr, "usage: %s FILE ADDRESS PORT\n", argv[0]);
		return 2;
	}
	file = open(argv[1], O_RDONLY | O_CLOEXEC);
	sock = dial(argv[2], argv[3]);
	if (file < 0 || sock < 0) {
		perror(file < 0 ? argv[1] : argv[2]);
		return 1;
	}
	if (decant_open(&d, NULL) < 0) {
		fprintf(stderr, "decant: %s\n", decant_strerror(NULL));
		return 1;
	}
	t.from = decant_file(file, 0);
	t.to = decant_socket(sock);
	if (decant_submit(d, &t) < 0) {
		fprintf(stderr, "decant: %s\n", decant_strerror(d));
	} else {
		while (ev.type != DECANT_ENDED && decant_wait(d, &ev, 1, -1) == 1)
			say(&ev);
		r = ev.error != 0;
	}
	decant_close(d);
	close(sock);
	close(file);
	return r;
}
