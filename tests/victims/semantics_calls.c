/* SPDX-License-Identifier: MIT */
/* Part of victim-semantics: what one call gives, and what it leaves. */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "semantics.h"

void case_basic(void)
{
	static const size_t lens[] = { 1, 100, 4095, 4096, 4097, 20000, 65536 };
	int p[2];

	sem_pipe(p, 0);
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		sem_fill(sem_buf, lens[i], (unsigned)i);
		sem_say("write", sem_put(p[1], sem_buf, lens[i], 0));
		sem_say_read("read", p[0], lens[i], (unsigned)i);
	}
	for (unsigned i = 0; i < 3; i++) {
		struct iovec v[3] = {
			{ sem_buf, 10 }, { sem_buf + 10, 5000 }, { sem_buf + 5010, 1 },
		};

		sem_fill(sem_buf, 5011, i);
		sem_say("pieces", sem_do(p[1], v, 3, 0));
		sem_say_read("read", p[0], 5011, i);
	}
}

/* Only the sharing call shows what is written afterwards. */
void case_later(void)
{
	ssize_t r;
	int p[2];

	sem_pipe(p, 0);
	memset(sem_buf, 'A', SEM_PAGE);
	r = sem_put(p[1], sem_buf, SEM_PAGE, SPLICE_F_GIFT);
	sem_say("write", r);
	if (r != SEM_PAGE)
		return;
	memset(sem_buf, 'B', SEM_PAGE);
	sem_say("read", read(p[0], sem_got, SEM_PAGE));
	printf("a later write is %s\n", sem_got[0] == 'A' ? "not seen" : "seen");
}

/* Slow enough for whoever looks now and then. */
void case_modified(void)
{
	int p[2];

	sem_pipe(p, 0);
	sem_say("write", sem_put(p[1], sem_buf, SEM_PAGE, SPLICE_F_GIFT));
	memset(sem_buf, 'B', SEM_PAGE);
	usleep(100000);
	sem_say("read", read(p[0], sem_got, SEM_PAGE));
}

void case_given_back(void)
{
	char *at = mmap(NULL, SEM_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			0);
	int p[2];

	sem_pipe(p, 0);
	memset(at, 'A', SEM_PAGE);
	sem_say("write", sem_put(p[1], at, SEM_PAGE, SPLICE_F_GIFT));
	madvise(at, SEM_PAGE, MADV_DONTNEED);
	usleep(100000);
	sem_say("read", read(p[0], sem_got, SEM_PAGE));
	printf("%c\n", sem_got[0]);
}

void case_read(void)
{
	struct iovec v[2] = { { sem_got, 100 }, { sem_got + SEM_PAGE, 5000 } };
	int p[2];

	sem_pipe(p, 0);
	sem_fill(sem_buf, 6000, 3);
	sem_say("write", write(p[1], sem_buf, 6000));
	sem_say("vmsplice from it", sem_do(p[0], v, 2, 0));
	printf("%s\n", memcmp(sem_got, sem_buf, 100) == 0 &&
		       memcmp(sem_got + SEM_PAGE, sem_buf + 100, 5000) == 0 ? "right" : "wrong");
	sem_say("the rest", sem_do(p[0], v, 2, SPLICE_F_NONBLOCK));
	sem_say("empty", sem_do(p[0], v, 2, SPLICE_F_NONBLOCK));
	(void)fcntl(p[0], F_SETFL, O_NONBLOCK);
	sem_say("empty, O_NONBLOCK", sem_do(p[0], v, 2, 0));
	close(p[1]);
	sem_say("at the end", sem_do(p[0], v, 2, 0));
}

void case_flags(void)
{
	int p[2];

	sem_pipe(p, 0);
	for (unsigned f = 0; f < 20; f++) {
		sem_say("flags", sem_put(p[1], sem_buf, 10, f));
		(void)fcntl(p[0], F_SETFL, O_NONBLOCK);
		(void)!read(p[0], sem_got, 100);
	}
	sem_say("high", sem_put(p[1], sem_buf, 10, 0x80000000u));
}

void case_bad(void)
{
	char *holed = mmap(NULL, 3 * SEM_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
	struct iovec v[2] = { { holed, 3 * SEM_PAGE }, { sem_buf, 10 } };
	int p[2], s[2], null = open("/dev/null", O_RDWR), file = open("/proc/self/exe", O_RDONLY);

	munmap(holed + SEM_PAGE, SEM_PAGE);
	sem_pipe(p, 0);
	(void)!socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	sem_say("fd -1", sem_put(-1, sem_buf, 10, 0));
	sem_say("fd 999", sem_put(999, sem_buf, 10, 0));
	sem_say("a device", sem_put(null, sem_buf, 10, 0));
	sem_say("a file", sem_put(file, sem_buf, 10, 0));
	sem_say("a socket", sem_put(s[0], sem_buf, 10, 0));
	sem_say("no pieces", sem_do(p[1], v, 0, 0));
	sem_say("nothing", sem_put(p[1], sem_buf, 0, 0));
	sem_say("too many pieces", sem_do(p[1], v, 1025, 0));
	sem_say("no vector", sem_do(p[1], NULL, 1, 0));
	sem_say("a bad vector", sem_do(p[1], (struct iovec *)(holed + SEM_PAGE), 1, 0));
	sem_say("a bad address", sem_put(p[1], holed + SEM_PAGE, 10, 0));
	(void)fcntl(p[0], F_SETFL, O_NONBLOCK);
	sem_say("nothing came of it", read(p[0], sem_got, 100));
	(void)fcntl(p[0], F_SETFL, 0);
	sem_say("a hole in the middle", sem_do(p[1], v, 2, 0));
	sem_say("what came of it", read(p[0], sem_got, sizeof(sem_got)));
	/* Nothing is lost where it cannot be put. */
	sem_say("write", write(p[1], "0123456789", 10));
	mprotect(holed, SEM_PAGE, PROT_READ);
	sem_say("into what cannot be written", sem_put(p[0], holed, 10, 0));
	sem_say("into nothing", sem_put(p[0], holed + SEM_PAGE, 10, SPLICE_F_NONBLOCK));
	sem_say("it is still there", read(p[0], sem_got, 100));
}

void case_full(void)
{
	int p[2];

	sem_pipe(p, 0);
	sem_stuff(p[1]);
	sem_say("full, NONBLOCK", sem_put(p[1], sem_buf, 10, SPLICE_F_NONBLOCK));
	(void)!read(p[0], sem_got, SEM_PAGE);
	sem_say("a page is free", sem_put(p[1], sem_buf, 2 * SEM_PAGE, SPLICE_F_NONBLOCK));
	sem_say("full again", sem_put(p[1], sem_buf, 1, SPLICE_F_NONBLOCK));
	sem_pipe(p, 0);
	sem_say("more than fits, NONBLOCK",
		sem_put(p[1], sem_buf, 2 * PIPE_BYTES, SPLICE_F_NONBLOCK));
	sem_say_read("read", p[0], PIPE_BYTES, 0);
}

void case_o_nonblock(void)
{
	int p[2];

	sem_pipe(p, O_NONBLOCK);
	sem_say("room, no flag", sem_put(p[1], sem_buf, 10, 0));
	sem_say("room, NONBLOCK alone", sem_put(p[1], sem_buf, 10, SPLICE_F_NONBLOCK));
	sem_say("room, NONBLOCK and MOVE",
		sem_put(p[1], sem_buf, 10, SPLICE_F_NONBLOCK | SPLICE_F_MOVE));
	sem_stuff(p[1]);
	if (sem_mode != SEM_CALL || getenv("SEM_POLICY")) /* natively it would wait for ever */
		sem_say("full, no flag", sem_put(p[1], sem_buf, 10, 0));
	sem_say("full, NONBLOCK and MOVE",
		sem_put(p[1], sem_buf, 10, SPLICE_F_NONBLOCK | SPLICE_F_MOVE));
}

/* All slots are taken, but the last page has room: v2 waits for a slot. */
void case_slots(void)
{
	int p[2];

	sem_pipe(p, 0);
	sem_stuff(p[1]);
	(void)!read(p[0], sem_got, SEM_PAGE);
	sem_say("last slot", write(p[1], sem_buf, 10));
	sem_say("into the last page, NONBLOCK", sem_put(p[1], sem_buf, 10, SPLICE_F_NONBLOCK));
}

void case_fifo(void)
{
	char name[] = "/tmp/semantics.XXXXXX", path[64];
	int in, out;

	if (!mkdtemp(name))
		abort();
	snprintf(path, sizeof(path), "%s/fifo", name);
	if (mkfifo(path, 0600) < 0)
		abort();
	in = open(path, O_RDONLY | O_NONBLOCK);
	out = open(path, O_WRONLY);
	(void)fcntl(in, F_SETFL, 0);
	unlink(path);
	rmdir(name);
	sem_fill(sem_buf, 5000, 1);
	sem_say("NONBLOCK", sem_put(out, sem_buf, 5000, SPLICE_F_NONBLOCK));
	sem_say("blocking", sem_put(out, sem_buf + 100, 50, 0));
	sem_say("plain", write(out, sem_buf, 5000)); /* so that reading never waits */
	sem_say("read, NONBLOCK", sem_put(in, sem_got, 3000, SPLICE_F_NONBLOCK));
	sem_say("read, blocking", sem_put(in, sem_got, 3000, 0));
	while (fcntl(in, F_SETFL, O_NONBLOCK), read(in, sem_got, SEM_PAGE) > 0)
		;
	sem_say("empty, NONBLOCK", sem_put(in, sem_got, 10, SPLICE_F_NONBLOCK));
	sem_say("more than fits", sem_put(out, sem_buf, 2 * PIPE_BYTES, SPLICE_F_NONBLOCK));
	sem_say("full", sem_put(out, sem_buf, 1, SPLICE_F_NONBLOCK));
	close(in);
	sem_catch(SIGPIPE, 0);
	sem_say("no reader", sem_put(out, sem_buf, 10, SPLICE_F_NONBLOCK));
	printf("signals %d\n", (int)sem_signals);
}

void case_after_splice(void)
{
	int p[2], file = open("/proc/self/exe", O_RDONLY), null = open("/dev/null", O_WRONLY);

	sem_pipe(p, 0);
	sem_say("splice", splice(file, NULL, p[1], NULL, 100, 0));
	sem_say("blocking", sem_put(p[1], sem_buf, 10, 0));
	sem_say("NONBLOCK", sem_put(p[1], sem_buf, 10, SPLICE_F_NONBLOCK));
	sem_say("plain", write(p[1], sem_buf, 200)); /* so that reading never waits */
	sem_say("splice out", splice(p[0], NULL, null, NULL, 100, 0));
	sem_say("read, NONBLOCK", sem_put(p[0], sem_got, 5, SPLICE_F_NONBLOCK));
	sem_say("read, blocking", sem_put(p[0], sem_got, 50, 0));
	(void)!read(p[0], sem_got, SEM_PAGE);
	sem_say("empty, NONBLOCK", sem_put(p[0], sem_got, 10, SPLICE_F_NONBLOCK));
}

/* Registers that the call leaves alone are left alone. */
void case_registers(void)
{
	struct iovec v = { sem_buf, 100 };
	int p[2];

	sem_pipe(p, 0);
	if (sem_mode != SEM_CALL) {
		printf("100, kept\n");
		return;
	}
#ifdef __x86_64__
	for (int i = 0; i < 2; i++) {
		register uint64_t r8 asm("r8") = 0x1111, r9 asm("r9") = 0x2222;
		register uint64_t r10 asm("r10") = i ? SPLICE_F_NONBLOCK | SPLICE_F_MOVE : 0;
		uint64_t was = r10, a = (uint64_t)p[1], b = (uint64_t)&v, c = 1, ret = SYS_vmsplice;

		asm volatile("syscall" : "+a"(ret), "+D"(a), "+S"(b), "+d"(c), "+r"(r8), "+r"(r9),
			     "+r"(r10) : : "rcx", "r11", "memory");
		if (ret != 100 || r8 != 0x1111 || r9 != 0x2222 || r10 != was ||
		    a != (uint64_t)p[1] || b != (uint64_t)&v || c != 1)
			printf("ret %jd r8 %jx r9 %jx r10 %jx\n", (intmax_t)ret, (uintmax_t)r8,
			       (uintmax_t)r9, (uintmax_t)r10);
	}
	printf("100, kept\n");
#else
	{
		unsigned ret, b = (unsigned)p[1], c = (unsigned)&v, d = 1, s = 0, di = 0x3333;

		asm volatile("int $0x80" : "=a"(ret), "+b"(b), "+c"(c), "+d"(d), "+S"(s), "+D"(di)
			     : "0"(SYS_vmsplice) : "memory");
		printf("%u, %s\n", ret, b == (unsigned)p[1] && c == (unsigned)&v && d == 1 &&
		       s == 0 && di == 0x3333 ? "kept" : "lost");
	}
#endif
}
