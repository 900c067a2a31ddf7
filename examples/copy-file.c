/* SPDX-License-Identifier: MIT */
/* Copy a file durably, with its checksum, in one blocking call. */
#include <decant.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct decant_event end;
	struct decant *d;
	int from, to;
	int64_t n;

	if (argc != 3) {
		fprintf(stderr, "usage: %s FROM TO\n", argv[0]);
		return 2;
	}
	from = open(argv[1], O_RDONLY | O_CLOEXEC);
	to = open(argv[2], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (from < 0 || to < 0) {
		perror(from < 0 ? argv[1] : argv[2]);
		return 1;
	}
	if (decant_open(&d, NULL) < 0) {
		fprintf(stderr, "decant: %s\n", decant_strerror(NULL));
		return 1;
	}
	t.from = decant_file(from, 0);
	t.to = decant_file(to, 0);
	t.flags = DECANT_SYNC;
	t.checksum = DECANT_CHECKSUM_SHA256;
	n = decant_move(d, &t, &end);
	if (n < 0) {
		fprintf(stderr, "%s: %s (%llu bytes are there)\n", argv[2], end.message,
			(unsigned long long)end.bytes);
	} else {
		for (int i = 0; i < 32; i++)
			printf("%02x", end.digest[i]);
		printf("  %s\n", argv[2]);
	}
	decant_close(d);
	close(from);
	close(to);
	return n < 0;
}
