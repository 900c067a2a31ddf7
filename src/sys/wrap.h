/* SPDX-License-Identifier: MIT */
/*
 * How the wrappers in this directory are made: gate, call, negative errno.
 * Not for use outside of src/sys/.
 */
#ifndef SYS_WRAP_H
#define SYS_WRAP_H

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "sys/fault.h"

/* -EINTR goes to the caller. */
#define WRAP_ONCE(name, call)                              \
	({                                                 \
		__typeof__(call) r_ = sys_fault(name);     \
		if (r_ == 0 && (r_ = (call)) < 0)          \
			r_ = -errno;                       \
		r_;                                        \
	})

#define WRAP_RETRY(name, call)                             \
	({                                                 \
		__typeof__(call) again_;                   \
		do {                                       \
			again_ = WRAP_ONCE(name, call);    \
		} while (again_ == -EINTR);                \
		again_;                                    \
	})

/*
 * For calls that give something back to the kernel: done in any case, so that
 * an injected fault cannot leak it.
 */
#define WRAP_AFTER(name, call)                             \
	({                                                 \
		__typeof__(call) done_ = (sys_fault_before(name), (call)); \
		int fault_ = done_ < 0 ? -errno : 0;       \
		if (fault_ == 0)                           \
			fault_ = sys_fault(name);          \
		fault_ < 0 ? fault_ : done_;               \
	})

/* Vectors are shortened by sending the start of them, at most so many pieces. */
#define WRAP_SHORT_IOV 8

struct wrap_iov {
	const struct iovec *iov;
	size_t n;
	struct iovec cut[WRAP_SHORT_IOV];
};

#ifdef DECANT_FAULTS
/* A plausible positive errno for a wrapper. */
int fault_errno_of(const char *name);
/* Number or name, as in "EIO"; 0: neither. */
int fault_errno_parse(const char *s);
void wrap_iov_init(struct wrap_iov *w, const char *name, const struct iovec *iov, size_t n);
#else
static inline void wrap_iov_init(struct wrap_iov *w, const char *name, const struct iovec *iov,
				 size_t n)
{
	(void)name;
	w->iov = iov;
	w->n = n;
}
#endif

#endif
