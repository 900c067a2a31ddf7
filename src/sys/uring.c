/* SPDX-License-Identifier: MIT */
#include "sys/sys.h"
#include "sys/wrap.h"
#include "uapi/io_uring.h"

/* liburing returns negative errnos by itself. */
#define URING_RETRY(name, call)                        \
	({                                             \
		int r_;                                \
		do {                                   \
			r_ = sys_fault(name);          \
			if (r_ == 0)                   \
				r_ = (call);           \
		} while (r_ == -EINTR);                \
		r_;                                    \
	})

int sys_uring_init(struct io_uring *ring, unsigned entries, struct io_uring_params *params)
{
	struct io_uring_params none = { 0 }, *p = params ? params : &none;
	int r;

	r = URING_RETRY("uring_init", io_uring_queue_init_params(entries, ring, p));
	if (r < 0)
		return r;
	if (!(p->features & IORING_FEAT_EXT_ARG)) {
		io_uring_queue_exit(ring);
		return -ENOSYS;
	}
	return 0;
}

void sys_uring_exit(struct io_uring *ring)
{
	io_uring_queue_exit(ring);
}

int sys_uring_submit(struct io_uring *ring)
{
	return URING_RETRY("uring_submit", io_uring_submit(ring));
}

int sys_uring_wait(struct io_uring *ring, struct io_uring_cqe **ret, uint64_t timeout_ns)
{
	struct __kernel_timespec ts = {
		.tv_sec = (long long)(timeout_ns / 1000000000u),
		.tv_nsec = (long long)(timeout_ns % 1000000000u),
	};
	struct io_uring_cqe *cqe = NULL;
	int r = sys_fault("uring_wait");

	if (r < 0)
		return r;
	if (timeout_ns == 0)
		r = io_uring_peek_cqe(ring, &cqe);
	else if (timeout_ns == UINT64_MAX)
		r = io_uring_wait_cqe(ring, &cqe);
	else
		r = io_uring_wait_cqe_timeout(ring, &cqe, &ts);
	if (r == -EAGAIN)
		return -ETIME;
	if (r < 0)
		return r;
	*ret = cqe;
	return 0;
}

int sys_uring_register_buffers(struct io_uring *ring, const struct iovec *iov, unsigned n)
{
	return URING_RETRY("uring_register_buffers", io_uring_register_buffers(ring, iov, n));
}

int sys_uring_register_buffers_sparse(struct io_uring *ring, unsigned n)
{
	return URING_RETRY("uring_register_buffers_sparse",
			   io_uring_register_buffers_sparse(ring, n));
}

int sys_uring_update_buffers(struct io_uring *ring, unsigned first, const struct iovec *iov,
			     unsigned n)
{
	return URING_RETRY("uring_update_buffers",
			   io_uring_register_buffers_update_tag(ring, first, iov, NULL, n));
}

int sys_uring_unregister_buffers(struct io_uring *ring)
{
	return URING_RETRY("uring_unregister_buffers", io_uring_unregister_buffers(ring));
}

int sys_uring_register_eventfd(struct io_uring *ring, int fd)
{
	return URING_RETRY("uring_register_eventfd", io_uring_register_eventfd(ring, fd));
}

int sys_uring_has_op(struct io_uring *ring, int op)
{
	struct io_uring_probe *probe;
	int r = sys_fault("uring_has_op");

	if (r < 0)
		return r;
	probe = io_uring_get_probe_ring(ring);
	if (!probe)
		return -ENOMEM;
	r = io_uring_opcode_supported(probe, op);
	io_uring_free_probe(probe);
	return r;
}
