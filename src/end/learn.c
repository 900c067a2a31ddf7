/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/vfs.h>

#include "end/private.h"
#include "sys/sys.h"
#include "uapi/statx.h"

/* File systems by statfs(2); <linux/magic.h> lacks some. */
#define LEARN_TMPFS 0x01021994u
#define LEARN_RAMFS 0x858458f6u
#define LEARN_HUGETLBFS 0x958458f6u
#define LEARN_SQUASHFS 0x73717368u
#define LEARN_EROFS 0xe0f5e1e2u
#define LEARN_ISO9660 0x9660u
#define LEARN_CRAMFS 0x28cd3d45u
#define LEARN_ROMFS 0x7275u
#define LEARN_XFS 0x58465342u
#define LEARN_BTRFS 0x9123683eu
#define LEARN_OCFS2 0x7461636fu
#define LEARN_BCACHEFS 0xca451a4eu

/* When statx does not tell: what the tried alignments mean. */
#define LEARN_DIO_TRY_MIN 512
#define LEARN_DIO_TRY_MAX 4096

static bool learn_in_memory(uint32_t type)
{
	return type == LEARN_TMPFS || type == LEARN_RAMFS || type == LEARN_HUGETLBFS;
}

bool end_in_memory(const struct end *e)
{
	struct statfs fs;

	return sys_fstatfs(e->fd, &fs) == 0 && learn_in_memory((uint32_t)fs.f_type);
}

/* File systems whose driver cannot write at all: remounting changes nothing. */
static const char *learn_read_only_fs(uint32_t type)
{
	switch (type) {
	case LEARN_SQUASHFS:
		return "a squashfs cannot be written to";
	case LEARN_EROFS:
		return "an erofs cannot be written to";
	case LEARN_ISO9660:
		return "an iso9660 file system cannot be written to";
	case LEARN_CRAMFS:
		return "a cramfs cannot be written to";
	case LEARN_ROMFS:
		return "a romfs cannot be written to";
	default:
		return NULL;
	}
}

/*
 * Not among the reasons: a file system that is merely mounted read-only (it can
 * be mounted again, and elsewhere), and the attribute "immutable" (chattr -i
 * takes it away in mid-transfer).
 */
static void learn_immutable(struct end *e, struct caps *caps, uint32_t type, uint64_t attributes)
{
	const int sealed = F_SEAL_WRITE | F_SEAL_SHRINK;
	int seals;

	if (e->side != END_SOURCE || e->block_device)
		return;
	e->immutable = learn_read_only_fs(type);
	if (!e->immutable && (attributes & STATX_ATTR_VERITY) && caps_has(caps, FACT_VERITY))
		e->immutable = "fs-verity protects the file";
	if (e->immutable || (type != LEARN_TMPFS && type != LEARN_HUGETLBFS) ||
	    !caps_has(caps, FACT_SEALS))
		return;
	seals = sys_getseals(e->fd);
	if (seals >= 0 && (seals & sealed) == sealed)
		e->immutable = "the memfd is sealed against writing and shrinking";
}

/* Does a read at this alignment work?  Of the source: a sink may be unreadable. */
static bool learn_dio_try(int fd, void *buf, uint32_t align)
{
	return sys_pread(fd, buf, align, align) >= 0;
}

/* Linux before 6.1, and file systems that do not report it: by trying. */
static uint32_t learn_dio_tried(const struct end *e)
{
	_cleanup_free_ void *buf = NULL;
	uint32_t align;
	int fd;

	fd = end_reopen(e->fd, O_RDONLY | O_DIRECT | O_NONBLOCK);
	if (fd == -EACCES)
		fd = end_reopen(e->fd, O_WRONLY | O_DIRECT | O_NONBLOCK);
	if (fd < 0)
		return 0;
	buf = sys_aligned_alloc(LEARN_DIO_TRY_MAX, LEARN_DIO_TRY_MAX);
	align = LEARN_DIO_TRY_MIN;
	while (buf && align <= LEARN_DIO_TRY_MAX && !learn_dio_try(fd, buf, align))
		align *= 8;
	(void)sys_close(fd);
	/* Opened but not readable (a sink's): the larger is right in any case. */
	return buf && align <= LEARN_DIO_TRY_MAX ? align : LEARN_DIO_TRY_MAX;
}

static void learn_dio(struct end *e, struct caps *caps, const struct statx *stx)
{
	/* The fact is about $TMPDIR; other file systems answer for themselves. */
	if (caps_masked(caps, FACT_O_DIRECT))
		return;
	if ((stx->stx_mask & STATX_DIOALIGN) && caps_has(caps, FACT_STATX_DIOALIGN)) {
		e->dio_align = stx->stx_dio_offset_align;
		e->dio_mem_align = e->dio_align ? stx->stx_dio_mem_align : 0;
		return;
	}
	e->dio_align = e->dio_mem_align = learn_dio_tried(e);
}

static void learn_access(struct end *e, int fl)
{
	int missing = e->side == END_SOURCE ? O_WRONLY : O_RDONLY;

	if ((fl & O_ACCMODE) != missing)
		return;
	e->wrong = e->side == END_SOURCE ? "the descriptor is not open for reading" :
					   "the descriptor is not open for writing";
	e->wrong_errno = -EBADF;
}

static void learn_file(struct end *e, struct caps *caps, int fl)
{
	struct statx stx = { 0 };
	struct statfs fs;
	uint32_t type = 0;
	int r;

	r = sys_statx(e->fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_DIOALIGN, &stx);
	if (r < 0 || (!S_ISREG(stx.stx_mode) && !S_ISBLK(stx.stx_mode))) {
		e->wrong = r < 0 ? "statx(2) tells nothing about it" :
				   "the descriptor is no regular file or block device";
		return;
	}
	e->block_device = S_ISBLK(stx.stx_mode);
	e->block_size = stx.stx_blksize;
	e->size_seen = stx.stx_size;
	e->dev = makedev(stx.stx_dev_major, stx.stx_dev_minor);
	e->ino = stx.stx_ino;
	e->direct_fd = fl & O_DIRECT;
	e->append = e->side == END_SINK && (fl & O_APPEND);
	/* A block device lies in its own file system, devtmpfs; what counts is the disk. */
	if (!e->block_device && sys_fstatfs(e->fd, &fs) == 0)
		type = (uint32_t)fs.f_type;
	e->cached_fs = !learn_in_memory(type);
	e->reflinks = type == LEARN_XFS || type == LEARN_BTRFS || type == LEARN_OCFS2 ||
		      type == LEARN_BCACHEFS;
	learn_immutable(e, caps, type, stx.stx_attributes & stx.stx_attributes_mask);
	learn_dio(e, caps, &stx);
}

static void learn_pipe(struct end *e, int fl)
{
	struct stat st;

	if (sys_fstat(e->fd, &st) < 0 || !S_ISFIFO(st.st_mode)) {
		e->wrong = "the descriptor is no pipe";
		return;
	}
	e->dev = st.st_dev;
	e->ino = st.st_ino;
	e->nonblock = e->nonblock || (fl & O_NONBLOCK);
}

/* An IPv4 address, also in IPv6 clothes, or an IPv6 address; 0 bytes: neither. */
static size_t learn_address(const struct sockaddr_storage *ss, unsigned char ret[16])
{
	const struct sockaddr_in *in = (const void *)ss;
	const struct sockaddr_in6 *in6 = (const void *)ss;

	if (ss->ss_family == AF_INET) {
		memcpy(ret, &in->sin_addr, 4);
		return 4;
	}
	if (ss->ss_family != AF_INET6)
		return 0;
	if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		memcpy(ret, in6->sin6_addr.s6_addr + 12, 4);
		return 4;
	}
	memcpy(ret, &in6->sin6_addr, 16);
	return 16;
}

/*
 * A peer on this host: loopback, or the same address as ours.  One that is
 * reached by veth, in another network namespace, cannot be told from a remote
 * one; nothing that is promised depends on this, only the expected cost.
 */
static bool learn_local(const struct sockaddr_storage *ours, const struct sockaddr_storage *peer)
{
	static const unsigned char loopback6[16] = { [15] = 1 };
	unsigned char a[16], b[16];
	size_t len = learn_address(peer, b);

	if (peer->ss_family == AF_UNIX)
		return true;
	if (len == 0)
		return false;
	if (len == 4 ? b[0] == 127 : memcmp(b, loopback6, 16) == 0)
		return true;
	return learn_address(ours, a) == len && memcmp(a, b, len) == 0;
}

static int learn_option(int fd, int name)
{
	int val = 0;
	socklen_t len = sizeof(val);
	int r = sys_getsockopt(fd, SOL_SOCKET, name, &val, &len);

	return r < 0 ? r : val;
}

static void learn_socket(struct end *e, int fl)
{
	struct sockaddr_storage ours = { 0 }, peer = { 0 };
	socklen_t ours_len = sizeof(ours), peer_len = sizeof(peer);
	int type = learn_option(e->fd, SO_TYPE), r;

	if (type != SOCK_STREAM) {
		e->wrong = type < 0 ? "the descriptor is no socket" : "it is no stream socket";
		return;
	}
	e->nonblock = fl & O_NONBLOCK;
	e->tcp = learn_option(e->fd, SO_PROTOCOL) == IPPROTO_TCP;
	e->unix_stream = !e->tcp && learn_option(e->fd, SO_DOMAIN) == AF_UNIX;
	r = sys_getpeername(e->fd, (struct sockaddr *)&peer, &peer_len);
	/* Else, not connected means that the peer is gone: for the transfer to say. */
	if (r == -ENOTCONN && learn_option(e->fd, SO_ACCEPTCONN) == 1) {
		e->wrong = "the socket listens; it is not connected";
		return;
	}
	if (r == 0)
		(void)sys_getsockname(e->fd, (struct sockaddr *)&ours, &ours_len);
	e->local = e->unix_stream || (r == 0 && learn_local(&ours, &peer));
}

void end_learn(struct end *e, struct caps *caps)
{
	int fl;

	if (e->learned)
		return;
	e->learned = true;
	e->wrong_errno = -EINVAL;
	if (e->fd < 0)
		return;
	fl = sys_getfl(e->fd);
	if (fl < 0) {
		e->wrong = "it is no open descriptor";
		e->wrong_errno = fl;
		return;
	}
	learn_access(e, fl);
	if (e->kind == DECANT_END_FILE)
		learn_file(e, caps, fl);
	else if (e->kind == DECANT_END_PIPE)
		learn_pipe(e, fl);
	else if (e->kind == DECANT_END_SOCKET)
		learn_socket(e, fl);
	else
		e->nonblock = fl & O_NONBLOCK;
}
