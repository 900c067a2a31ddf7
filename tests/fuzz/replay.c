/* SPDX-License-Identifier: MIT */
/*
 * Feed a fuzz target the files of its corpus, each whole, cut short at every
 * byte of its first kilobyte, and with each of those bytes turned over.
 * Not a fuzzer: the same inputs every time.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>

#include "tap.h"

#define FILE_MAX (1 << 20)
#define EDGES_MAX 1024

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of the exact size, so that a sanitizer sees the byte behind it. */
static void replay_bytes(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	need(copy, "memory");
	memcpy(copy, data, size);
	(void)LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void replay_file(const void *arg)
{
	static uint8_t data[FILE_MAX];
	int fd = open(arg, O_RDONLY | O_CLOEXEC);
	ssize_t size;

	need(fd >= 0, "%s", (const char *)arg);
	size = read(fd, data, sizeof(data));
	(void)close(fd);
	need(size >= 0, "%s", (const char *)arg);

	replay_bytes(data, (size_t)size);
	for (ssize_t i = 0; i < size && i < EDGES_MAX; i++) {
		replay_bytes(data, (size_t)i);
		data[i] ^= 0xff;
		replay_bytes(data, (size_t)size);
		data[i] ^= 0xff;
	}
}

static int is_file(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

int main(int argc, char **argv)
{
	struct dirent **names;
	char path[4096];
	int n;

	if (argc != 2)
		bail("usage: %s CORPUS", argv[0]);
	n = scandir(argv[1], &names, is_file, alphasort);
	if (n <= 0)
		bail("%s: no corpus", argv[1]);
	for (int i = 0; i < n; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", argv[1], names[i]->d_name);
		tap_case_arg(replay_file, path, "%s", names[i]->d_name);
		free(names[i]);
	}
	free(names);
	return done();
}
