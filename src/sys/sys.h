/* SPDX-License-Identifier: MIT */
/*
 * All system calls and allocations of the library: thin wrappers that return
 * >= 0 or a negative errno, and the one place where tests inject faults.
 * Not an abstraction: arguments are those of libc, and nothing is decided here.
 *
 * EINTR, by group:
 *	retry   called again inside; the kernel gives EINTR there only when
 *		nothing was moved or changed
 *	return  -EINTR goes to the caller, whose wait may have another reason
 *		to end, or for whom calling again would be wrong
 *
 * Offsets are uint64_t; what does not fit an off_t is refused by the kernel
 * (-EINVAL).  Pointers come by an out-parameter, written only on success.
 * All are safe to call from any thread.
 */
#ifndef SYS_SYS_H
#define SYS_SYS_H

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#include "base/cleanup.h"

struct cachestat;
struct cachestat_range;
struct epoll_event;
struct io_uring;
struct io_uring_cqe;
struct io_uring_params;
struct open_how;
struct rlimit;
struct statfs;

/* ------------------------------------------- files: file.c, EINTR: retry */

int sys_open(const char *path, int flags, mode_t mode);
int sys_openat(int dir_fd, const char *path, int flags, mode_t mode);
int sys_openat2(int dir_fd, const char *path, const struct open_how *how, size_t size);
/*
 * Closes, whatever it returns; never retried.  -1 is no descriptor: -EBADF
 * without a system call.  EINTR is a success, for Linux has closed it.
 */
int sys_close(int fd);
int sys_unlink(const char *path);
int sys_rename(const char *from, const char *to);
int sys_mkdir(const char *path, mode_t mode);
int sys_fstat(int fd, struct stat *ret);
int sys_stat(const char *path, struct stat *ret);
int sys_statx(int dir_fd, const char *path, int flags, unsigned mask, struct statx *ret);
int sys_statfs(const char *path, struct statfs *ret);
int sys_fstatfs(int fd, struct statfs *ret);
/* The link's text, ended by a 0 byte; -ENAMETOOLONG where it does not fit. */
ssize_t sys_readlink(const char *path, char *buf, size_t size);
int sys_ftruncate(int fd, uint64_t len);
int sys_fallocate(int fd, int mode, uint64_t off, uint64_t len);
int sys_fsync(int fd);
int sys_fdatasync(int fd);
int64_t sys_lseek(int fd, int64_t off, int whence);
int sys_posix_fadvise(int fd, uint64_t off, uint64_t len, int advice);
/* FICLONE and FICLONERANGE. */
int sys_ficlone(int to_fd, int from_fd);
int sys_ficlonerange(int to_fd, int from_fd, uint64_t from_off, uint64_t len, uint64_t to_off);
/* Size of a block device in bytes (BLKGETSIZE64). */
int sys_blkgetsize64(int fd, uint64_t *ret);
int sys_memfd_create(const char *name, unsigned flags);

/* ------------------------------------------- descriptors: file.c, retry */

int sys_getfl(int fd);
int sys_setfl(int fd, int flags);
int sys_dupfd_cloexec(int fd, int fd_min);
int sys_getpipe_sz(int fd);
/* Returns the size that it got. */
int sys_setpipe_sz(int fd, int size);
/* F_RDLCK, F_WRLCK or F_UNLCK. */
int sys_getlease(int fd);
int sys_setlease(int fd, int type);
/* The signal that tells of a broken lease; 0: SIGIO. */
int sys_setsig(int fd, int sig);
/* Who gets it: a thread (F_OWNER_TID), a process. */
int sys_setown_ex(int fd, int type, pid_t id);
int sys_getseals(int fd);
int sys_addseals(int fd, int seals);
int sys_pipe2(int ret_fds[2], int flags);
/* Bytes to be read. */
int sys_fionread(int fd, int *ret);
int sys_eventfd(unsigned count, int flags);

/*
 * ------------------------------------ moving bytes: io.c, retry
 *
 * Short counts are the caller's; EAGAIN too.  A write to a pipe or socket
 * without a reader raises SIGPIPE unless it is blocked (sys_sigpipe_block) or
 * MSG_NOSIGNAL is given.
 */
ssize_t sys_read(int fd, void *buf, size_t len);
ssize_t sys_write(int fd, const void *buf, size_t len);
ssize_t sys_readv(int fd, const struct iovec *iov, int n);
ssize_t sys_writev(int fd, const struct iovec *iov, int n);
ssize_t sys_pread(int fd, void *buf, size_t len, uint64_t off);
ssize_t sys_pwrite(int fd, const void *buf, size_t len, uint64_t off);
/* off: UINT64_MAX for the descriptor's position (pipes, sockets). */
ssize_t sys_preadv2(int fd, const struct iovec *iov, int n, uint64_t off, int flags);
ssize_t sys_pwritev2(int fd, const struct iovec *iov, int n, uint64_t off, int flags);
/* off NULL: the descriptor's position. */
ssize_t sys_sendfile(int to_fd, int from_fd, uint64_t *off, size_t len);
ssize_t sys_splice(int from_fd, uint64_t *from_off, int to_fd, uint64_t *to_off, size_t len,
		   unsigned flags);
ssize_t sys_tee(int from_fd, int to_fd, size_t len, unsigned flags);
ssize_t sys_vmsplice(int fd, const struct iovec *iov, size_t n, unsigned flags);
ssize_t sys_copy_file_range(int from_fd, uint64_t *from_off, int to_fd, uint64_t *to_off,
			    size_t len, unsigned flags);
ssize_t sys_process_vm_readv(pid_t pid, const struct iovec *local, size_t local_n,
			     const struct iovec *remote, size_t remote_n);

/* ----------------------------------------------- sockets: net.c */

/* retry */
int sys_socket(int domain, int type, int protocol);
int sys_socketpair(int domain, int type, int protocol, int ret_fds[2]);
int sys_bind(int fd, const struct sockaddr *addr, socklen_t len);
int sys_listen(int fd, int backlog);
int sys_shutdown(int fd, int how);
int sys_getsockname(int fd, struct sockaddr *addr, socklen_t *len);
int sys_getpeername(int fd, struct sockaddr *addr, socklen_t *len);
int sys_getsockopt(int fd, int level, int name, void *val, socklen_t *len);
int sys_setsockopt(int fd, int level, int name, const void *val, socklen_t len);
ssize_t sys_send(int fd, const void *buf, size_t len, int flags);
ssize_t sys_recv(int fd, void *buf, size_t len, int flags);
ssize_t sys_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t sys_recvmsg(int fd, struct msghdr *msg, int flags);
/* Bytes sent and not yet acknowledged. */
int sys_siocoutq(int fd, int *ret);
/* return: a connect that was interrupted goes on by itself */
int sys_connect(int fd, const struct sockaddr *addr, socklen_t len);
int sys_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);

/* ------------------------------- waiting: wait.c, EINTR: return */

int sys_poll(struct pollfd *fds, unsigned n, int timeout_ms);
/* timeout_ns: UINT64_MAX waits without limit; finer than sys_poll(). */
int sys_poll_ns(struct pollfd *fds, unsigned n, uint64_t timeout_ns);
int sys_epoll_create1(int flags);
int sys_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event);
int sys_epoll_wait(int epoll_fd, struct epoll_event *events, int n, int timeout_ms);
/* sigprocmask of the calling thread. */
int sys_sigmask(int how, const sigset_t *set, sigset_t *ret_old);
int sys_sigtimedwait(const sigset_t *set, siginfo_t *ret, const struct timespec *timeout);
/* CLOCK_MONOTONIC; cannot fail, nothing is injected. */
uint64_t sys_clock_ns(void);
/* The same clock as of the last tick of the kernel's timer: cheap, some ms old. */
uint64_t sys_clock_coarse_ms(void);
/* CLOCK_REALTIME, likewise. */
uint64_t sys_real_ns(void);
/* CPU time of the calling thread, of the process; likewise. */
uint64_t sys_thread_cpu_ns(void);
uint64_t sys_process_cpu_ns(void);
/* Of another thread, which must not have been joined; 0: it has ended. */
uint64_t sys_thread_cpu_of_ns(pthread_t thread);
/* Sleeps for the whole time (retry); at most an hour. */
int sys_sleep_ns(uint64_t ns);

/*
 * Between these two the calling thread gets no SIGPIPE; what was raised in
 * between is thrown away.  Restore nothing after a failed block.
 */
struct sys_sigpipe {
	sigset_t old;
	int was_pending;
};
int sys_sigpipe_block(struct sys_sigpipe *saved);
void sys_sigpipe_restore(const struct sys_sigpipe *saved);

/* --------------------------------------- memory and process: mem.c */

/* NULL on failure; free() is the plain one. */
void *sys_malloc(size_t len) __attribute__((malloc));
void *sys_calloc(size_t n, size_t len) __attribute__((malloc));
void *sys_realloc(void *p, size_t len);
/* align: a power of two; len need not be a multiple of it. */
void *sys_aligned_alloc(size_t align, size_t len) __attribute__((malloc));
char *sys_strdup(const char *s) __attribute__((malloc));

int sys_mmap(void **ret, void *addr, size_t len, int prot, int flags, int fd, uint64_t off);
/* Unmaps, whatever it returns (a fault is injected after it). */
int sys_munmap(void *addr, size_t len);
int sys_madvise(void *addr, size_t len, int advice);
int sys_mincore(void *addr, size_t len, unsigned char *vec);
/* <uapi/cachestat.h>; -ENOSYS before Linux 6.5. */
int sys_cachestat(int fd, struct cachestat_range *range, struct cachestat *ret, unsigned flags);
int sys_getrlimit(int resource, struct rlimit *ret);
pid_t sys_getpid(void);
/*
 * The calling thread gives way: that nice value where its own is lower, and
 * slices of so many ns, so that whoever wakes up need not wait for the end of a
 * long one (Linux 6.12 and later, sched_attr(7); ignored by others).
 */
int sys_yield_thread(int nice, uint64_t slice_ns);
/* CPUs that this thread may run on, at least 1; cannot fail. */
unsigned sys_cpus(void);

/*
 * A thread with all signals blocked, so that the caller's handlers run on the
 * caller's threads.  name: at most 15 characters, or NULL.
 */
int sys_thread_create(pthread_t *ret, const char *name, void *(*run)(void *), void *arg);
int sys_thread_join(pthread_t thread);

/* ------------------------------------------- io_uring: uring.c */

/*
 * liburing's own calls.  Init refuses (-ENOSYS) a kernel on which waiting with
 * a time-out would use up an SQE (before 5.11, no IORING_FEAT_EXT_ARG), so
 * that one thread can wait while another submits.  params: flags in, features
 * out; may be NULL.  <liburing.h> is for whoever prepares SQEs.
 */
int sys_uring_init(struct io_uring *ring, unsigned entries, struct io_uring_params *params);
void sys_uring_exit(struct io_uring *ring);
/* Number submitted.  EINTR: retry (nothing was submitted). */
int sys_uring_submit(struct io_uring *ring);
/*
 * The next completion, left in the queue (io_uring_cqe_seen() is the
 * caller's).  timeout_ns: 0 does not wait, UINT64_MAX waits without limit.
 * -ETIME after the time-out.  EINTR: return.
 */
int sys_uring_wait(struct io_uring *ring, struct io_uring_cqe **ret, uint64_t timeout_ns);
int sys_uring_register_buffers(struct io_uring *ring, const struct iovec *iov, unsigned n);
int sys_uring_register_buffers_sparse(struct io_uring *ring, unsigned n);
/* Number updated. */
int sys_uring_update_buffers(struct io_uring *ring, unsigned first, const struct iovec *iov,
			     unsigned n);
int sys_uring_unregister_buffers(struct io_uring *ring);
int sys_uring_register_eventfd(struct io_uring *ring, int fd);
/* 1: the kernel knows this opcode, 0: it does not. */
int sys_uring_has_op(struct io_uring *ring, int op);

#endif
