/* SPDX-License-Identifier: MIT */
#include <sys/sendfile.h>
#include <unistd.h>

#include "sys/sys.h"
#include "sys/wrap.h"

ssize_t sys_read(int fd, void *buf, size_t len)
{
	len = sys_fault_len("read", len);
	return WRAP_RETRY("read", read(fd, buf, len));
}

ssize_t sys_write(int fd, const void *buf, size_t len)
{
	len = sys_fault_len("write", len);
	return WRAP_RETRY("write", write(fd, buf, len));
}

ssize_t sys_readv(int fd, const struct iovec *iov, int n)
{
	struct wrap_iov w;

	wrap_iov_init(&w, "readv", iov, (size_t)n);
	return WRAP_RETRY("readv", readv(fd, w.iov, (int)w.n));
}

ssize_t sys_writev(int fd, const struct iovec *iov, int n)
{
	struct wrap_iov w;

	wrap_iov_init(&w, "writev", iov, (size_t)n);
	return WRAP_RETRY("writev", writev(fd, w.iov, (int)w.n));
}

ssize_t sys_pread(int fd, void *buf, size_t len, uint64_t off)
{
	len = sys_fault_len("pread", len);
	return WRAP_RETRY("pread", pread(fd, buf, len, (off_t)off));
}

ssize_t sys_pwrite(int fd, const void *buf, size_t len, uint64_t off)
{
	len = sys_fault_len("pwrite", len);
	return WRAP_RETRY("pwrite", pwrite(fd, buf, len, (off_t)off));
}

ssize_t sys_preadv2(int fd, const struct iovec *iov, int n, uint64_t off, int flags)
{
	struct wrap_iov w;

	wrap_iov_init(&w, "preadv2", iov, (size_t)n);
	return WRAP_RETRY("preadv2", preadv2(fd, w.iov, (int)w.n, (off_t)off, flags));
}

ssize_t sys_pwritev2(int fd, const struct iovec *iov, int n, uint64_t off, int flags)
{
	struct wrap_iov w;

	wrap_iov_init(&w, "pwritev2", iov, (size_t)n);
	return WRAP_RETRY("pwritev2", pwritev2(fd, w.iov, (int)w.n, (off_t)off, flags));
}

ssize_t sys_sendfile(int to_fd, int from_fd, uint64_t *off, size_t len)
{
	len = sys_fault_len("sendfile", len);
	return WRAP_RETRY("sendfile", sendfile(to_fd, from_fd, (off_t *)off, len));
}

ssize_t sys_splice(int from_fd, uint64_t *from_off, int to_fd, uint64_t *to_off, size_t len,
		   unsigned flags)
{
	len = sys_fault_len("splice", len);
	return WRAP_RETRY("splice", splice(from_fd, (off64_t *)from_off, to_fd, (off64_t *)to_off,
					   len, flags));
}

ssize_t sys_tee(int from_fd, int to_fd, size_t len, unsigned flags)
{
	len = sys_fault_len("tee", len);
	return WRAP_RETRY("tee", tee(from_fd, to_fd, len, flags));
}

ssize_t sys_vmsplice(int fd, const struct iovec *iov, size_t n, unsigned flags)
{
	struct wrap_iov w;

	wrap_iov_init(&w, "vmsplice", iov, n);
	return WRAP_RETRY("vmsplice", vmsplice(fd, w.iov, w.n, flags));
}

ssize_t sys_copy_file_range(int from_fd, uint64_t *from_off, int to_fd, uint64_t *to_off,
			    size_t len, unsigned flags)
{
	len = sys_fault_len("copy_file_range", len);
	return WRAP_RETRY("copy_file_range", copy_file_range(from_fd, (off64_t *)from_off, to_fd,
							     (off64_t *)to_off, len, flags));
}

ssize_t sys_process_vm_readv(pid_t pid, const struct iovec *local, size_t local_n,
			     const struct iovec *remote, size_t remote_n)
{
	struct wrap_iov w; /* a shorter local side is a short read */

	wrap_iov_init(&w, "process_vm_readv", local, local_n);
	return WRAP_RETRY("process_vm_readv",
			  process_vm_readv(pid, w.iov, w.n, remote, remote_n, 0));
}
