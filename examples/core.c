/* SPDX-License-Identifier: MIT */
/* Write a core of a running process to a new file, and say how long it stood still. */
#include <decant.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int show(void *arg, const struct decant_capture_progress *p)
{
	const char **phase = arg;

	if (*phase != p->phase)
		fprintf(stderr, "%s\n", p->phase);
	*phase = p->phase;
	return 0; /* anything else would cancel it */
}

int main(int argc, char **argv)
{
	struct decant_capture_options options = DECANT_CAPTURE_OPTIONS_INIT;
	struct decant_capture_report report = DECANT_CAPTURE_REPORT_INIT;
	struct decant_image_sink sink = DECANT_IMAGE_SINK_INIT;
	struct decant_target *target;
	const char *phase = NULL;
	struct decant *d;
	int r;

	if (argc != 3) {
		fprintf(stderr, "usage: %s PID FILE\n", argv[0]);
		return 2;
	}
	if (decant_open(&d, NULL) < 0) {
		fprintf(stderr, "decant: %s\n", decant_strerror(NULL));
		return 1;
	}
	if (decant_target_open(d, &target, (pid_t)atoi(argv[1])) < 0) {
		fprintf(stderr, "%s\n", decant_strerror(d));
		decant_close(d);
		return 1;
	}
	sink.fd = open(argv[2], O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	options.progress = show;
	options.progress_arg = &phase;
	r = -1;
	if (sink.fd < 0)
		perror(argv[2]);
	else if ((r = decant_capture(d, target, &options, &sink, &report)) < 0)
		fprintf(stderr, "%s: %s\n", argv[2], report.message);
	else
		printf("%llu bytes; it stood still for %llu us\n",
		       (unsigned long long)report.memory_bytes,
		       (unsigned long long)report.pause_ns / 1000);
	if (r < 0 && sink.fd >= 0)
		unlink(argv[2]);
	decant_target_close(target);
	decant_close(d);
	if (sink.fd >= 0)
		close(sink.fd);
	return r < 0;
}
