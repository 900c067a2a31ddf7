/* SPDX-License-Identifier: MIT */
/*
 * A 32-bit program without a libc: sendfile64, splice and vmsplice by int 0x80.
 * Exit status: 1 what was sent stayed as it was at the call, 0 a later write to
 * the file shows, 2 or more: which call went wrong.
 */
typedef unsigned int u32;
typedef unsigned long long u64;

static long call(long nr, long a, long b, long c, long d, long e)
{
	long r;

	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "0"(nr), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
			 : "memory");
	return r;
}

enum { EXIT = 1, READ = 3, WRITE = 4, PIPE = 42, PWRITE = 181, SENDFILE = 187, SENDFILE64 = 239,
       MEMFD = 356 };

static char text[4096];

static void fill(char c)
{
	for (volatile u32 i = 0; i < sizeof(text); i++)
		text[i] = c;
}

static int run(void)
{
	long fd = call(MEMFD, (long)"narrow", 0, 0, 0, 0);
	u64 off = 0;
	long off32 = 0;
	int p[2];

	if (fd < 0 || call(PIPE, (long)p, 0, 0, 0, 0) < 0)
		return 2;
	fill('o');
	if (call(PWRITE, fd, (long)text, sizeof(text), 0, 0) != sizeof(text))
		return 3;
	if (call(SENDFILE64, p[1], fd, (long)&off, 2048, 0) != 2048 || off != 2048)
		return 4;
	if (call(SENDFILE, p[1], fd, (long)&off32, 2048, 0) != 2048 || off32 != 2048)
		return 5;
	if (call(SENDFILE, p[1], fd, 8, 2048, 0) != -14)
		return 6;
	fill('n');
	if (call(PWRITE, fd, (long)text, sizeof(text), 0, 0) != sizeof(text))
		return 7;
	if (call(READ, p[0], (long)text, sizeof(text), 0, 0) != sizeof(text))
		return 8;
	return text[0] == 'o' && text[4095] == 'o' ? 1 : text[0] == 'n' ? 0 : 9;
}

void _start(void);
void _start(void)
{
	(void)call(EXIT, run(), 0, 0, 0, 0);
	__builtin_unreachable();
}
