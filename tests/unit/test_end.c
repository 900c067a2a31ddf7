/* SPDX-License-Identifier: MIT */
/* end/: what an end is found to be, and which ends are refused. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "end/end.h"
#include "sys/fault.h"
#include "tap.h"

static struct caps *caps_masking(const char *mask)
{
	struct caps *c = NULL;
	struct err e;

	need(caps_create(&c, mask, &e) == 0, "facts");
	return c;
}

static struct end learned(struct decant_end said, enum end_side side, const char *mask)
{
	struct caps *c = caps_masking(mask);
	struct end e;
	struct err err = { "" };

	need(end_init(&e, &said, side, &err) == 0, "end: %s", err.text);
	end_learn(&e, c);
	caps_destroy(c);
	return e;
}

static int scratch(int flags)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | flags, 0600);

	need(fd >= 0, "a scratch file in /tmp");
	return fd;
}

/* An end of these kinds, by hand: the makers belong to another layer. */
static struct decant_end said_fd(uint32_t kind, int fd, uint64_t offset)
{
	return (struct decant_end){ .kind = kind, .fd = fd, .offset = offset };
}

static struct decant_end said_memory(void *addr, uint64_t len)
{
	return (struct decant_end){ .kind = DECANT_END_MEMORY, .fd = -1, .addr = addr, .len = len };
}

/* ----------------------------------------------------------------- refusals */

static int dir_fd, dgram_fd, stream_fd, pipe_fds[2], file_fd, append_fd, closed_fd;

static void make_descriptors(void)
{
	dir_fd = open("/tmp", O_RDONLY | O_DIRECTORY);
	dgram_fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	stream_fd = socket(AF_UNIX, SOCK_STREAM, 0);
	file_fd = scratch(0);
	append_fd = scratch(O_APPEND);
	closed_fd = fcntl(file_fd, F_DUPFD, 500);
	need(dir_fd >= 0 && dgram_fd >= 0 && pipe(pipe_fds) == 0 && closed_fd >= 0, "descriptors");
	close(closed_fd);
}

static void refuse(struct decant_end said, enum end_side side, int code, const char *words)
{
	struct end e = { .fd = 4711 };
	struct err err = { "" };

	is_int(end_init(&e, &said, side, &err), code, "refused: %s", words);
	ok(strstr(err.text, words), "the sentence \"%s\" has \"%s\"", err.text, words);
	is_int(e.fd, 4711, "nothing is written after a refusal");
}

static void test_refusals(void)
{
	char byte;
	struct decant_end null = { .kind = DECANT_END_NULL, .fd = -1 };
	struct decant_end zero = { .kind = DECANT_END_ZERO, .fd = -1 };
	struct decant_end process = { .kind = DECANT_END_PROCESS, .fd = -1, .pid = 1 };
	struct decant_end flags = said_fd(DECANT_END_FILE, file_fd, 0);

	flags.flags = 1;
	refuse(flags, END_SOURCE, -EINVAL, "source flags 0x1: unknown");
	refuse(said_fd(99, file_fd, 0), END_SINK, -EINVAL, "sink kind 99: unknown");
	refuse(said_fd(DECANT_END_FILE, -1, 0), END_SOURCE, -EBADF, "source: no descriptor");
	refuse(said_fd(DECANT_END_SOCKET, -5, 0), END_SINK, -EBADF, "sink: no descriptor");
	refuse(said_fd(DECANT_END_FD, closed_fd, DECANT_CURRENT), END_SOURCE, -EBADF, "Bad file");
	refuse(said_fd(DECANT_END_FILE, closed_fd, DECANT_CURRENT), END_SOURCE, -EBADF, "Bad file");
	refuse(said_fd(DECANT_END_FILE, closed_fd, 0), END_SINK, -EBADF, "Bad file");
	refuse(said_fd(DECANT_END_FD, dir_fd, 0), END_SOURCE, -EISDIR, "is a directory");
	refuse(said_fd(DECANT_END_FD, dgram_fd, 0), END_SINK, -ENOTSUP, "not a stream socket");
	refuse(said_fd(DECANT_END_FILE, pipe_fds[0], DECANT_CURRENT), END_SOURCE, -EINVAL,
	       "its position");
	refuse(said_fd(DECANT_END_FILE, file_fd, (uint64_t)INT64_MAX + 1), END_SOURCE, -EINVAL,
	       "beyond what a file can have");
	refuse(said_fd(DECANT_END_FILE, append_fd, 0), END_SINK, -EINVAL, "has O_APPEND");
	refuse(said_fd(DECANT_END_PIPE, pipe_fds[0], 7), END_SOURCE, -EINVAL, "a pipe has none");
	refuse(said_fd(DECANT_END_SOCKET, dgram_fd, 7), END_SINK, -EINVAL, "a socket has none");
	refuse(said_fd(DECANT_END_FD, pipe_fds[1], 7), END_SINK, -EINVAL, "a pipe has none");
	refuse(said_memory(NULL, 1), END_SOURCE, -EINVAL, "no such range");
	refuse(said_memory(&byte, UINT64_MAX), END_SINK, -EINVAL, "no such range");
	refuse(null, END_SOURCE, -ENOTSUP, "null is a sink only");
	refuse(zero, END_SINK, -ENOTSUP, "zero is a source only");
	refuse(process, END_SINK, -ENOTSUP, "a source only");
	process.pid = 0;
	refuse(process, END_SOURCE, -EINVAL, "no process id");
	process.pid = 1;
	process.offset = DECANT_CURRENT;
	refuse(process, END_SOURCE, -EINVAL, "no address");
	ok(end_init(&(struct end){ 0 }, &null, END_SOURCE, NULL) == -ENOTSUP, "err may be NULL");
}

/* ---------------------------------------------------------- what init finds */

static void is_kind(struct decant_end said, enum end_side side, enum decant_end_kind kind,
		    const char *noun)
{
	struct end e;
	struct err err = { "" };

	if (!is_int(end_init(&e, &said, side, &err), 0, "a %s is accepted", noun))
		diag("%s", err.text);
	is_int(e.kind, kind, "a %s is found to be of its kind", noun);
	is_str(end_noun(&e), noun, "and is called %s", noun);
}

static void test_kinds(void)
{
	int sv[2], tty = open("/dev/ptmx", O_RDWR | O_NOCTTY);

	need(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0 && tty >= 0, "descriptors");
	is_kind(said_fd(DECANT_END_FD, file_fd, DECANT_CURRENT), END_SOURCE, DECANT_END_FILE,
		"file");
	is_kind(said_fd(DECANT_END_FD, pipe_fds[0], DECANT_CURRENT), END_SOURCE, DECANT_END_PIPE,
		"pipe");
	is_kind(said_fd(DECANT_END_FD, sv[0], DECANT_CURRENT), END_SINK, DECANT_END_SOCKET,
		"socket");
	is_kind(said_fd(DECANT_END_FD, tty, DECANT_CURRENT), END_SINK, DECANT_END_FD,
		"terminal");
	is_kind(said_fd(DECANT_END_FD, open("/dev/null", O_RDWR), DECANT_CURRENT), END_SINK,
		DECANT_END_FD, "descriptor");
	is_kind(said_memory(&tty, 4), END_SINK, DECANT_END_MEMORY, "memory");
	is_kind(said_memory(NULL, 0), END_SOURCE, DECANT_END_MEMORY, "memory");
	is_kind((struct decant_end){ .kind = DECANT_END_PROCESS, .pid = 1 }, END_SOURCE,
		DECANT_END_PROCESS, "memory of a process");
	is_kind((struct decant_end){ .kind = DECANT_END_NULL }, END_SINK, DECANT_END_NULL, "null");
	is_kind((struct decant_end){ .kind = DECANT_END_ZERO }, END_SOURCE, DECANT_END_ZERO,
		"zero");
	close(tty);
	close(sv[0]);
	close(sv[1]);
}

static void test_position(void)
{
	struct decant_end said = said_fd(DECANT_END_FILE, file_fd, DECANT_CURRENT);
	struct end e;

	need(lseek(file_fd, 1234, SEEK_SET) == 1234, "lseek");
	need(end_init(&e, &said, END_SOURCE, NULL) == 0, "init");
	is_int(e.offset, 1234, "the descriptor's position is where it starts");
	ok(e.position && e.seekable, "and will be moved on");
	end_close(&e, 100);
	is_int(lseek(file_fd, 0, SEEK_CUR), 1334, "close moves the position on by what was moved");
	end_close(&e, 100);
	is_int(lseek(file_fd, 0, SEEK_CUR), 1334, "but once");
	said.offset = 5;
	need(end_init(&e, &said, END_SOURCE, NULL) == 0, "init");
	end_close(&e, 100);
	is_int(lseek(file_fd, 0, SEEK_CUR), 1334, "an explicit offset leaves it alone");
	said = said_fd(DECANT_END_FILE, append_fd, DECANT_CURRENT);
	need(end_init(&e, &said, END_SINK, NULL) == 0, "init");
	ok(e.append && e.position && !e.seekable, "an appending sink has no offsets");
}

#ifdef DECANT_FAULTS
static unsigned long calls_of_init(struct decant_end said, enum end_side side)
{
	struct sys_fault_plan count = { .nth = 0 };
	struct end e;

	sys_fault_arm(&count);
	need(end_init(&e, &said, side, NULL) == 0, "init");
	end_close(&e, 10);
	return sys_fault_calls();
}

static void test_calls(void)
{
	is_int(calls_of_init(said_fd(DECANT_END_FILE, file_fd, 0), END_SOURCE), 0,
	       "a file source costs no system call");
	is_int(calls_of_init(said_fd(DECANT_END_SOCKET, stream_fd, 0), END_SINK), 1,
	       "a socket costs one: whether it is a stream");
	is_int(calls_of_init(said_fd(DECANT_END_PIPE, 7, 0), END_SINK), 0, "a pipe none");
	is_int(calls_of_init(said_memory(&file_fd, 4), END_SINK), 0, "nor memory");
	is_int(calls_of_init(said_fd(DECANT_END_FILE, file_fd, 0), END_SINK), 1,
	       "a file sink costs one");
	ok(calls_of_init(said_fd(DECANT_END_FD, file_fd, DECANT_CURRENT), END_SOURCE) > 1,
	   "control: the counter sees the calls of a descriptor to be found out about");
}
#else
static void test_calls(void)
{
	skip("system calls are counted only with -Dfaults=true");
}
#endif

/* --------------------------------------------------------------------- size */

static void test_size(void)
{
	struct decant_end said;
	struct end e;
	int proc = open("/proc/self/status", O_RDONLY);

	need(proc >= 0 && ftruncate(file_fd, 5000) == 0, "files");
	said = said_fd(DECANT_END_FILE, file_fd, 0);
	need(end_init(&e, &said, END_SOURCE, NULL) == 0, "init");
	ok(e.size == END_SIZE_UNKNOWN, "no size before it is asked for");
	is_int(end_size(&e), 5000, "size of a file");
	need(ftruncate(file_fd, 300) == 0, "ftruncate");
	is_int(end_size(&e), 5000, "is kept");
	is_int(end_size_now(&e), 300, "the size now is asked anew");
	said = said_fd(DECANT_END_FILE, proc, 0);
	need(end_init(&e, &said, END_SOURCE, NULL) == 0, "init");
	ok(end_size(&e) == END_SIZE_UNKNOWN, "a size of 0 is none: /proc");
	is_int(end_size_now(&e), 0, "but is the size now");
	said = said_memory(&e, 17);
	need(end_init(&e, &said, END_SINK, NULL) == 0, "init");
	is_int(end_size(&e), 17, "size of memory");
	said = said_fd(DECANT_END_PIPE, pipe_fds[0], 0);
	need(end_init(&e, &said, END_SOURCE, NULL) == 0, "init");
	ok(end_size(&e) == END_SIZE_UNKNOWN, "a pipe has none");
	close(proc);
}

/* -------------------------------------------------------------------- learn */

static void is_wrong(struct decant_end said, enum end_side side, int code, const char *words)
{
	struct end e = learned(said, side, NULL);

	ok(e.wrong && strstr(e.wrong, words), "wrong: %s (got %s)", words, e.wrong ? e.wrong : "");
	is_int(e.wrong_errno, code, "and the errno of it");
}

static void test_wrong(void)
{
	int ro = open("/proc/self/status", O_RDONLY), listener = socket(AF_INET, SOCK_STREAM, 0);
	int wo = open("/dev/null", O_WRONLY);

	need(ro >= 0 && wo >= 0 && listener >= 0 && listen(listener, 1) == 0, "descriptors");
	is_wrong(said_fd(DECANT_END_FILE, pipe_fds[0], 0), END_SOURCE, -EINVAL, "no regular file");
	is_wrong(said_fd(DECANT_END_PIPE, file_fd, 0), END_SOURCE, -EINVAL, "no pipe");
	refuse(said_fd(DECANT_END_SOCKET, file_fd, 0), END_SINK, -EINVAL, "no socket");
	refuse(said_fd(DECANT_END_SOCKET, dgram_fd, 0), END_SINK, -ENOTSUP, "not a stream socket");
	is_wrong(said_fd(DECANT_END_SOCKET, listener, 0), END_SINK, -EINVAL, "listens");
	is_wrong(said_fd(DECANT_END_PIPE, closed_fd, 0), END_SINK, -EBADF, "no open descriptor");
	is_wrong(said_fd(DECANT_END_PIPE, pipe_fds[1], 0), END_SOURCE, -EBADF, "not open for read");
	is_wrong(said_fd(DECANT_END_PIPE, pipe_fds[0], 0), END_SINK, -EBADF, "not open for writ");
	is_wrong(said_fd(DECANT_END_FD, wo, 0), END_SOURCE, -EBADF, "not open for reading");
	ok(!learned(said_fd(DECANT_END_FILE, file_fd, 0), END_SOURCE, NULL).wrong,
	   "control: a file that is one");
	close(ro);
	close(wo);
	close(listener);
}

static void test_learn_file(void)
{
	int direct = scratch(O_DIRECT), mem = memfd_create("test", 0);
	struct end e = learned(said_fd(DECANT_END_FILE, file_fd, 0), END_SOURCE, NULL);
	struct stat st;

	need(direct >= 0 && mem >= 0 && fstat(file_fd, &st) == 0, "files");
	ok(e.learned && e.ino == st.st_ino && e.dev == st.st_dev, "device and inode");
	is_int(e.block_size, st.st_blksize, "block size");
	ok(!e.immutable && !e.block_device && !e.direct_fd, "an ordinary file");
	ok(e.dio_align >= 512 && e.dio_align <= 65536, "O_DIRECT alignment by statx: %u",
	   e.dio_align);
	e = learned(said_fd(DECANT_END_FILE, file_fd, 0), END_SOURCE, "statx_dioalign");
	ok(e.dio_align == 512 || e.dio_align == 4096, "O_DIRECT alignment by trying: %u",
	   e.dio_align);
	e = learned(said_fd(DECANT_END_FILE, file_fd, 0), END_SINK, "statx_dioalign");
	ok(e.dio_align == 512 || e.dio_align == 4096, "likewise of a sink: %u", e.dio_align);
	e = learned(said_fd(DECANT_END_FILE, file_fd, 0), END_SOURCE, "o_direct");
	is_int(e.dio_align, 0, "no alignment where O_DIRECT is masked");
	e = learned(said_fd(DECANT_END_FILE, direct, 0), END_SOURCE, NULL);
	ok(e.direct_fd, "a descriptor that has O_DIRECT");
	e = learned(said_fd(DECANT_END_FILE, mem, 0), END_SOURCE, NULL);
	ok(!e.cached_fs, "tmpfs has no page cache worth going past");
	ok(end_in_memory(&e), "and its files are in memory");
	e = learned(said_fd(DECANT_END_FILE, file_fd, 0), END_SOURCE, NULL);
	is_int(end_in_memory(&e), !e.cached_fs, "others are not");
	close(direct);
	close(mem);
}

static const char *sealed(int seals, enum end_side side, const char *mask)
{
	int fd = memfd_create("test", MFD_ALLOW_SEALING);
	struct end e;

	need(fd >= 0 && ftruncate(fd, 4096) == 0 && fcntl(fd, F_ADD_SEALS, seals) == 0, "memfd");
	e = learned(said_fd(DECANT_END_FILE, fd, 0), side, mask);
	close(fd);
	return e.immutable;
}

static void test_seals(void)
{
	const int both = F_SEAL_WRITE | F_SEAL_SHRINK;

	is_str(sealed(both, END_SOURCE, NULL), "the memfd is sealed against writing and shrinking",
	       "a sealed memfd cannot change");
	is_str(sealed(F_SEAL_WRITE, END_SOURCE, NULL), NULL, "one that may shrink can");
	is_str(sealed(F_SEAL_SHRINK | F_SEAL_GROW, END_SOURCE, NULL), NULL,
	       "one that may be written can");
	is_str(sealed(F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK, END_SOURCE, NULL), NULL,
	       "and one whose old mappings may write");
	is_str(sealed(both, END_SOURCE, "seals"), NULL, "not with the fact masked");
	is_str(sealed(F_SEAL_SHRINK, END_SINK, NULL), NULL, "a sink has none");
}

/* A connected pair over loopback of this family; address: of the listener. */
static void tcp_pair(int family, int ret[2])
{
	struct sockaddr_storage ss = { .ss_family = (sa_family_t)family };
	struct sockaddr_in *in = (void *)&ss;
	struct sockaddr_in6 *in6 = (void *)&ss;
	socklen_t len = sizeof(ss);
	int l = socket(family, SOCK_STREAM, 0);

	if (family == AF_INET)
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		in6->sin6_addr = (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
	need(l >= 0 && bind(l, (void *)&ss, sizeof(ss)) == 0 && listen(l, 1) == 0 &&
	     getsockname(l, (void *)&ss, &len) == 0, "listener");
	ret[0] = socket(family, SOCK_STREAM, 0);
	need(ret[0] >= 0 && connect(ret[0], (void *)&ss, len) == 0, "connect");
	ret[1] = accept(l, NULL, NULL);
	need(ret[1] >= 0, "accept");
	close(l);
}

static void test_sockets(void)
{
	int fds[2];
	struct end e;

	tcp_pair(AF_INET, fds);
	e = learned(said_fd(DECANT_END_SOCKET, fds[0], 0), END_SINK, NULL);
	ok(e.tcp && e.local && !e.unix_stream && !e.nonblock && !e.wrong, "TCP over loopback");
	is_str(end_noun(&e), "TCP socket", "is called so");
	need(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0, "O_NONBLOCK");
	e = learned(said_fd(DECANT_END_FD, fds[0], DECANT_CURRENT), END_SINK, NULL);
	ok(e.tcp && e.local && e.nonblock, "the same as a descriptor, not blocking");
	close(fds[1]);
	e = learned(said_fd(DECANT_END_SOCKET, fds[0], 0), END_SINK, NULL);
	ok(!e.wrong, "a peer that is gone is for the transfer to say");
	close(fds[0]);
	tcp_pair(AF_INET6, fds);
	e = learned(said_fd(DECANT_END_SOCKET, fds[0], 0), END_SOURCE, NULL);
	ok(e.tcp && e.local, "IPv6 over loopback");
	close(fds[0]);
	close(fds[1]);
	need(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0, "socketpair");
	e = learned(said_fd(DECANT_END_SOCKET, fds[0], 0), END_SINK, NULL);
	ok(e.unix_stream && e.local && !e.tcp, "AF_UNIX");
	is_str(end_noun(&e), "UNIX socket", "is called so");
	close(fds[0]);
	close(fds[1]);
}

/* ----------------------------------------------- what only a mount can show */

#define EROFS_BLOCK 4096

static void put(unsigned char *to, uint64_t v, unsigned len)
{
	memcpy(to, &v, len); /* little endian, as the machines this runs on */
}

/*
 * The smallest erofs: block 0 the super block with two inodes behind it, block
 * 1 the root directory, block 2 a file "f" of 4096 bytes.
 */
static void erofs_image(int fd)
{
	static unsigned char img[16 * EROFS_BLOCK];
	unsigned char *sb = img + 1024, *root = img + 40 * 32, *file = img + 41 * 32;
	unsigned char *dir = img + EROFS_BLOCK;
	static const char names[3][3] = { ".", "..", "f" };
	unsigned i, at = 3 * 12;

	put(sb, 0xe0f5e1e2, 4);
	sb[12] = 12;             /* log2 of the block size */
	put(sb + 14, 40, 2);     /* the root's number: its place in units of 32 */
	put(sb + 16, 2, 8);
	put(sb + 36, 16, 4);
	put(root + 4, S_IFDIR | 0755, 2);
	put(root + 6, 2, 2);
	put(root + 8, 3 * 12 + 4, 4);
	put(root + 16, 1, 4);    /* its block */
	put(file + 4, S_IFREG | 0644, 2);
	put(file + 6, 1, 2);
	put(file + 8, EROFS_BLOCK, 4);
	put(file + 16, 2, 4);
	for (i = 0; i < 3; i++) {
		put(dir + 12 * i, i == 2 ? 41 : 40, 8);
		put(dir + 12 * i + 8, at, 2);
		dir[12 * i + 10] = i == 2 ? 1 : 2;
		memcpy(dir + at, names[i], strlen(names[i]));
		at += (unsigned)strlen(names[i]);
	}
	memset(img + 2 * EROFS_BLOCK, 'E', EROFS_BLOCK);
	need(pwrite(fd, img, sizeof(img), 0) == sizeof(img), "image");
}

/* A loop device on fd, which goes away with its last user. */
static int loop_on(int fd, char path[32])
{
	struct loop_config config = { .fd = (uint32_t)fd };
	int control = open("/dev/loop-control", O_RDWR), loop = -1, tries, n;

	need(control >= 0, "loop devices");
	config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
	for (tries = 0; tries < 20; tries++) {
		n = ioctl(control, LOOP_CTL_GET_FREE);
		need(n >= 0, "a free loop device");
		snprintf(path, 32, "/dev/loop%d", n);
		loop = open(path, O_RDWR);
		need(loop >= 0, "%s", path);
		if (ioctl(loop, LOOP_CONFIGURE, &config) == 0)
			break;
		close(loop); /* somebody was faster */
	}
	need(tries < 20, "a loop device of our own");
	close(control);
	return loop;
}

static void test_mounts(void)
{
	char path[32], dir[] = "/tmp/decant-end-XXXXXX", file[64];
	struct end e;
	int image, loop, fd;

	if (geteuid() != 0)
		skip("needs root");
	need(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	     mkdtemp(dir), "a mount namespace");
	image = scratch(0);
	erofs_image(image);
	loop = loop_on(image, path);
	e = learned(said_fd(DECANT_END_FD, loop, DECANT_CURRENT), END_SOURCE, NULL);
	ok(e.kind == DECANT_END_FILE && e.block_device && !e.immutable, "a block device");
	is_int(end_size(&e), 16 * EROFS_BLOCK, "its size");
	is_str(end_noun(&e), "block device", "its name");
	ok(e.dio_align >= 512, "its alignment: %u", e.dio_align);
	need(mount(path, dir, "erofs", MS_RDONLY, NULL) == 0, "mount erofs");
	snprintf(file, sizeof(file), "%s/f", dir);
	fd = open(file, O_RDONLY);
	need(fd >= 0, "a file on it");
	e = learned(said_fd(DECANT_END_FILE, fd, 0), END_SOURCE, NULL);
	is_str(e.immutable, "an erofs cannot be written to", "a file on erofs cannot change");
	close(fd);
	umount(dir);
	need(mount("none", dir, "tmpfs", 0, NULL) == 0 &&
	     (fd = open(file, O_CREAT | O_RDONLY, 0600)) >= 0 &&
	     mount("none", dir, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0, "a read-only tmpfs");
	e = learned(said_fd(DECANT_END_FILE, fd, 0), END_SOURCE, NULL);
	is_str(e.immutable, NULL, "control: merely mounted read-only is no promise");
	close(fd);
	umount(dir);
	rmdir(dir);
	close(loop);
}

int main(void)
{
	make_descriptors();
	test_refusals();
	test_kinds();
	test_position();
	tap_case("init makes as few system calls as it says", test_calls);
	test_size();
	test_wrong();
	test_learn_file();
	test_seals();
	test_sockets();
	tap_case("block devices and read-only file systems", test_mounts);
	return done();
}
