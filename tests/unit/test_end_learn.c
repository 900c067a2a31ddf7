/* SPDX-License-Identifier: MIT */
/* end/: what is learned of an end: what is wrong, files, seals, sockets, mounts. */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "end/end.h"
#include "lib/kit.h"
#include "lib/said.h"
#include "tap.h"

static int dgram_fd, pipe_fds[2], file_fd, closed_fd;

static void is_wrong(struct decant_end said, enum end_side side, int code, const char *words)
{
	struct end e = said_learned(said, side, NULL);

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
	said_refused(said_fd(DECANT_END_SOCKET, file_fd, 0), END_SINK, -EINVAL, "no socket");
	said_refused(said_fd(DECANT_END_SOCKET, dgram_fd, 0), END_SINK, -ENOTSUP,
		     "not a stream socket");
	is_wrong(said_fd(DECANT_END_SOCKET, listener, 0), END_SINK, -EINVAL, "listens");
	is_wrong(said_fd(DECANT_END_PIPE, closed_fd, 0), END_SINK, -EBADF, "no open descriptor");
	is_wrong(said_fd(DECANT_END_PIPE, pipe_fds[1], 0), END_SOURCE, -EBADF, "not open for read");
	is_wrong(said_fd(DECANT_END_PIPE, pipe_fds[0], 0), END_SINK, -EBADF, "not open for writ");
	is_wrong(said_fd(DECANT_END_FD, wo, 0), END_SOURCE, -EBADF, "not open for reading");
	ok(!said_learned(said_fd(DECANT_END_FILE, file_fd, 0), END_SOURCE, NULL).wrong,
	   "control: a file that is one");
	close(ro);
	close(wo);
	close(listener);
}

static void test_learn_file(void)
{
	int direct = kit_scratch(O_DIRECT), mem = memfd_create("test", 0);
	struct end e = said_learned(said_fd(DECANT_END_FILE, file_fd, 0), END_SOURCE, NULL);
	struct stat st;

	need(direct >= 0 && mem >= 0 && fstat(file_fd, &st) == 0, "files");
	ok(e.learned && e.ino == st.st_ino && e.dev == st.st_dev, "device and inode");
	is_int(e.block_size, st.st_blksize, "block size");
	ok(!e.immutable && !e.block_device && !e.direct_fd, "an ordinary file");
	ok(e.dio_align >= 512 && e.dio_align <= 65536, "O_DIRECT alignment by statx: %u",
	   e.dio_align);
	e = said_learned(said_fd(DECANT_END_FILE, file_fd, 0), END_SOURCE, "statx_dioalign");
	ok(e.dio_align == 512 || e.dio_align == 4096, "O_DIRECT alignment by trying: %u",
	   e.dio_align);
	e = said_learned(said_fd(DECANT_END_FILE, file_fd, 0), END_SINK, "statx_dioalign");
	ok(e.dio_align == 512 || e.dio_align == 4096, "likewise of a sink: %u", e.dio_align);
	e = said_learned(said_fd(DECANT_END_FILE, file_fd, 0), END_SOURCE, "o_direct");
	is_int(e.dio_align, 0, "no alignment where O_DIRECT is masked");
	e = said_learned(said_fd(DECANT_END_FILE, direct, 0), END_SOURCE, NULL);
	ok(e.direct_fd, "a descriptor that has O_DIRECT");
	e = said_learned(said_fd(DECANT_END_FILE, mem, 0), END_SOURCE, NULL);
	ok(!e.cached_fs, "tmpfs has no page cache worth going past");
	ok(end_in_memory(&e), "and its files are in memory");
	e = said_learned(said_fd(DECANT_END_FILE, file_fd, 0), END_SOURCE, NULL);
	is_int(end_in_memory(&e), !e.cached_fs, "others are not");
	close(direct);
	close(mem);
}

static const char *sealed(int seals, enum end_side side, const char *mask)
{
	int fd = memfd_create("test", MFD_ALLOW_SEALING);
	struct end e;

	need(fd >= 0 && ftruncate(fd, 4096) == 0 && fcntl(fd, F_ADD_SEALS, seals) == 0, "memfd");
	e = said_learned(said_fd(DECANT_END_FILE, fd, 0), side, mask);
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

/* ------------------------------------------------------------------ sockets */

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
	e = said_learned(said_fd(DECANT_END_SOCKET, fds[0], 0), END_SINK, NULL);
	ok(e.tcp && e.local && !e.unix_stream && !e.nonblock && !e.wrong, "TCP over loopback");
	is_str(end_noun(&e), "TCP socket", "is called so");
	need(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0, "O_NONBLOCK");
	e = said_learned(said_fd(DECANT_END_FD, fds[0], DECANT_CURRENT), END_SINK, NULL);
	ok(e.tcp && e.local && e.nonblock, "the same as a descriptor, not blocking");
	close(fds[1]);
	e = said_learned(said_fd(DECANT_END_SOCKET, fds[0], 0), END_SINK, NULL);
	ok(!e.wrong, "a peer that is gone is for the transfer to say");
	close(fds[0]);
	tcp_pair(AF_INET6, fds);
	e = said_learned(said_fd(DECANT_END_SOCKET, fds[0], 0), END_SOURCE, NULL);
	ok(e.tcp && e.local, "IPv6 over loopback");
	close(fds[0]);
	close(fds[1]);
	need(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0, "socketpair");
	e = said_learned(said_fd(DECANT_END_SOCKET, fds[0], 0), END_SINK, NULL);
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
	image = kit_scratch(0);
	erofs_image(image);
	loop = loop_on(image, path);
	e = said_learned(said_fd(DECANT_END_FD, loop, DECANT_CURRENT), END_SOURCE, NULL);
	ok(e.kind == DECANT_END_FILE && e.block_device && !e.immutable, "a block device");
	is_int(end_size(&e), 16 * EROFS_BLOCK, "its size");
	is_str(end_noun(&e), "block device", "its name");
	ok(e.dio_align >= 512, "its alignment: %u", e.dio_align);
	need(mount(path, dir, "erofs", MS_RDONLY, NULL) == 0, "mount erofs");
	snprintf(file, sizeof(file), "%s/f", dir);
	fd = open(file, O_RDONLY);
	need(fd >= 0, "a file on it");
	e = said_learned(said_fd(DECANT_END_FILE, fd, 0), END_SOURCE, NULL);
	is_str(e.immutable, "an erofs cannot be written to", "a file on erofs cannot change");
	close(fd);
	umount(dir);
	need(mount("none", dir, "tmpfs", 0, NULL) == 0 &&
	     (fd = open(file, O_CREAT | O_RDONLY, 0600)) >= 0 &&
	     mount("none", dir, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0, "a read-only tmpfs");
	e = said_learned(said_fd(DECANT_END_FILE, fd, 0), END_SOURCE, NULL);
	is_str(e.immutable, NULL, "control: merely mounted read-only is no promise");
	close(fd);
	umount(dir);
	rmdir(dir);
	close(loop);
}

int main(void)
{
	dgram_fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	file_fd = kit_scratch(0);
	closed_fd = fcntl(file_fd, F_DUPFD, 500);
	need(dgram_fd >= 0 && pipe(pipe_fds) == 0 && closed_fd >= 0, "descriptors");
	close(closed_fd);
	test_wrong();
	test_learn_file();
	test_seals();
	test_sockets();
	tap_case("block devices and read-only file systems", test_mounts);
	return done();
}
