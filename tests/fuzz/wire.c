/* SPDX-License-Identifier: MIT */
/*
 * What a client of the page server says: message by message, as pure framing;
 * and all of it, as a connection that stores in a directory.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dump/names.h"
#include "wire/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
	if (!condition)
		abort();
}

static char directory[64];

/* ------------------------------------------------------------------- framing */

static void check_message(const struct message *m)
{
	if (m->kind == MESSAGE_CLOSE)
		return;
	require(m->of == DIR_PROCESS ? m->id > 0 && m->id <= INT32_MAX : m->id <= FRAME_ID_MAX);
	if (m->kind != MESSAGE_ENTRY)
		return;
	require(m->entry.vaddr % CRIU_PAGE == 0 && m->entry.nr_pages > 0 && m->entry.flags);
	require(m->entry.nr_pages <= CRIU_ADDRESS_MAX / CRIU_PAGE);
	require(criu_entry_end(&m->entry) > m->entry.vaddr);
	require(criu_entry_end(&m->entry) <= CRIU_ADDRESS_MAX);
	require(!(m->entry.flags & CRIU_PRESENT && m->entry.flags & CRIU_PARENT));
}

static void framing(const uint8_t *data, size_t size)
{
	unsigned header = 0;

	while (size >= (header ? header : FRAME_OLD)) {
		struct message m;
		struct frame f, again;
		struct err e = { "" };
		uint8_t copy[FRAME_MAX];
		int r;

		if (!header)
			header = frame_size(data);
		require(header == FRAME_OLD || header == FRAME_NEW);
		if (size < header)
			return;
		frame_get(&f, header, data);
		/* What was read can be written, and is the same then. */
		require(frame_put(&f, header, copy) == header);
		frame_get(&again, header, copy);
		require(f.command == again.command && f.flags == again.flags &&
			f.nr_pages == again.nr_pages && f.vaddr == again.vaddr &&
			f.dst_id == again.dst_id);
		r = message_get(&m, &f, &e);
		require(r == 0 || ((r == -EPROTO || r == -ENOTSUP) && e.text[0]));
		if (r == 0)
			check_message(&m);
		data += header;
		size -= header;
	}
}

/* --------------------------------------------------------------- a connection */

/* What is there has a name of its own, and what has is whole. */
static void directory_check(bool whole)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *d;

	require(dir != NULL);
	while ((d = readdir(dir))) {
		struct names_parsed n = names_parse(d->d_name);

		if (d->d_name[0] == '.')
			continue;
		require(whole && !n.part);
		require(n.kind == NAMES_PAGEMAP || n.kind == NAMES_PAGEMAP_SHMEM ||
			n.kind == NAMES_PAGES);
		require(unlinkat(fd, d->d_name, 0) == 0);
	}
	(void)closedir(dir);
	/* After each input: a fuzzer, and who replays its corpus, may leave without a word. */
	require(rmdir(directory) == 0);
}

static void live(const uint8_t *data, size_t size)
{
	static struct decant *engine;
	struct decant_page_server s = {
		.wake_fd = -1, .cancel_fd = -1, .path = directory,
		.o = { .connections_max = 1, .patience_ns = 1000000000,
		       .limit_bytes = 1 << 20 },
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	struct connection c = {
		.s = &s, .channel = CHANNEL_INIT,
		.told = { .size = sizeof(c.told) },
	};
	int fd[2];

	(void)snprintf(directory, sizeof(directory), "%s/decant-fuzz.XXXXXX",
		       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	require(mkdtemp(directory) != NULL);
	if (!engine) {
		require(decant_open(&engine, &(struct decant_options){
			.size = sizeof(struct decant_options), .mask = "io_uring" }) == 0);
	}
	s.d = engine;
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0);
	/* As much as the socket takes; what is cut off then is an input, too. */
	(void)send(fd[0], data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)shutdown(fd[0], SHUT_WR);
	c.channel.fd = fd[1];
	c.channel.patience_ns = s.o.patience_ns;
	store_init(&c.store, &s);
	connection_serve(&c);
	require(c.told.error == 0 || c.told.message[0]);
	require(c.told.error != -ETIMEDOUT);
	require(s.lent_bytes == 0 && c.told.present_pages <= (1 << 20) / CRIU_PAGE);
	directory_check(c.told.error == 0);
	(void)close(fd[0]);
}

/* First byte: which of the two. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] & 1)
		live(data + 1, size - 1);
	else
		framing(data + 1, size - 1);
	return 0;
}
