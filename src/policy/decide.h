/* SPDX-License-Identifier: MIT */
/*
 * What happens to one call under a policy: a pure function of the policy, the
 * call, its flags and the kinds of its descriptors.
 * Not a supervisor: nothing here makes a system call or knows a process.
 */
#ifndef POLICY_DECIDE_H
#define POLICY_DECIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Of vmsplice(2). */
enum policy_vmsplice {
	POLICY_LEGACY = 0, /* as the kernel has it */
	POLICY_WARN,       /* likewise, and a line at the first use of SPLICE_F_GIFT at a place */
	POLICY_COPY_V1,    /* pwritev2/preadv2: a blocking write waits until all is written */
	POLICY_COPY_V2,    /* waits for room, then writes what fits */
	POLICY_DENY,       /* as a kernel without the call: ENOSYS */
};

struct policy {
	uint8_t vmsplice;    /* enum policy_vmsplice */
	bool nowait_kernel;  /* RWF_NOWAIT as this kernel has it: FIFOs and ends that went
			      * through splice() say EOPNOTSUPP; else as if it had no such holes */
	bool stable;         /* splice, tee, sendfile: bytes are copied when the call is made */
	bool audit;          /* count all calls */
};

/*
 * "copy-v2,nowait=kernel,stable": at most one of the vmsplice policies (else
 * legacy), and any of stable, audit, nowait=ideal|kernel (with a copy policy
 * only).  -EINVAL with a sentence.
 */
int policy_parse(const char *text, struct policy *ret, struct err *reterr);
/* The same as text; size 64 is enough. */
void policy_text(const struct policy *p, char *ret, size_t size);

/* The calls that are looked at. */
enum policy_call {
	CALL_VMSPLICE = 0,
	CALL_SPLICE,
	CALL_TEE,
	CALL_SENDFILE,        /* and sendfile64 */
	CALL_COPY_FILE_RANGE,
	CALL_IO_URING_SETUP,  /* what goes through a ring cannot be seen from outside */
	CALL_MAX
};
const char *policy_call_name(enum policy_call call);

enum policy_kind {
	KIND_NONE = 0,   /* the call has no such descriptor */
	KIND_BAD,        /* not open, or cannot be looked at */
	KIND_FILE,       /* regular file, memfd, block device */
	KIND_PIPE,       /* of pipe(2) */
	KIND_FIFO,       /* of mkfifo(2) */
	KIND_SOCKET,
	KIND_OTHER,      /* character device, epoll, ... */
	KIND_MAX
};
const char *policy_kind_name(enum policy_kind kind);

struct policy_end {
	uint8_t kind;      /* enum policy_kind */
	bool can_read, can_write;
	bool nonblock;     /* O_NONBLOCK on the open file description */
	bool append;       /* O_APPEND */
	bool spliced;      /* known to have lost RWF_NOWAIT to an earlier splice() */
};

/* One call, as far as it matters. */
struct policy_event {
	enum policy_call call;
	uint32_t flags;          /* the call's own argument; 0 where it has none */
	uint64_t n;              /* vmsplice: pieces of the vector; others: length */
	struct policy_end in;    /* where data come from; vmsplice on a readable pipe: that */
	struct policy_end out;   /* where they go; vmsplice on a writable pipe: that */
};

enum policy_action {
	ACTION_PASS = 0, /* the kernel carries it out as it is */
	ACTION_FAIL,     /* is not carried out: -error */
	ACTION_WRITE,    /* vmsplice becomes pwritev2(fd, iov, n, -1, rwf) */
	ACTION_WAIT_WRITE, /* copy-v2: see that poll() says POLLOUT or POLLERR first, then
			    * pwritev2() with RWF_NOWAIT.  No room, or EAGAIN: with wait, wait for
			    * it and start again, else EAGAIN */
	ACTION_READ,     /* vmsplice becomes preadv2(fd, iov, n, -1, rwf) */
	ACTION_COPY,     /* stable: the bytes go through memory of the supervisor */
};

struct policy_verdict {
	uint8_t action;     /* enum policy_action */
	int error;          /* ACTION_FAIL: positive errno */
	bool wait;          /* WAIT_WRITE: until there is room */
	uint32_t rwf;       /* WRITE, WAIT_WRITE, READ: RWF_NOWAIT or 0 */
	bool nowait_ideal;  /* where the kernel refuses RWF_NOWAIT, do as if it did not */
	bool warn;          /* this use is worth a line (policy warn) */
	uint32_t findings;  /* bits 1 << enum policy_finding, of what the event alone shows */
};

/*
 * What a program does that matters under another policy.  Only facts about the
 * call; words are policy_finding_text()'s.
 */
enum policy_finding {
	FINDING_GIFT = 0,         /* SPLICE_F_GIFT: would be without effect */
	FINDING_FIFO_NOWAIT,      /* NONBLOCK on a FIFO: EOPNOTSUPP under copy-v1, nowait=kernel */
	FINDING_AFTER_SPLICE_V1,  /* NONBLOCK on an end that went through splice: likewise */
	FINDING_AFTER_SPLICE_V2,  /* any write to such an end: EOPNOTSUPP under copy-v2 */
	FINDING_FIFO_V2,          /* a FIFO under copy-v2 without its last patch: EOPNOTSUPP */
	FINDING_EINVAL_V2,        /* exactly NONBLOCK on an O_NONBLOCK pipe: EINVAL under copy-v2 */
	FINDING_O_NONBLOCK,       /* blocking call on an O_NONBLOCK pipe: would not block */
	/* Those that only a supervisor sees, by results or later: */
	FINDING_SHORT_V1,         /* a blocking call took a part: copy-v1 would wait for the rest */
	FINDING_EAGAIN,           /* polls: NONBLOCK and EAGAIN */
	FINDING_MODIFIED,         /* the buffer was changed while its bytes were in the pipe */
	FINDING_URING,            /* a ring was set up: splice through it is not seen */
	FINDING_MAX
};
/* "would fail under copy-v2: ... on fd 5 (EOPNOTSUPP)"; fd -1: none is named.  160 is enough. */
void policy_finding_text(enum policy_finding f, int fd, char *ret, size_t size);
/* A word for JSON: "after-splice-v2"; static. */
const char *policy_finding_name(enum policy_finding f);

struct policy_verdict policy_decide(const struct policy *p, const struct policy_event *e);

/* What the filter has to do with a call; counted: somebody wants the report. */
enum policy_filter {
	FILTER_ALLOW = 0,
	FILTER_ERROR,     /* answers by itself, with *ret_error */
	FILTER_CATCH,     /* asks the supervisor */
};
enum policy_filter policy_filter(const struct policy *p, bool counted, enum policy_call call,
				 int *ret_error);

#endif
