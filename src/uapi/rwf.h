/* SPDX-License-Identifier: MIT */
/*
 * Flags of preadv2(2) and pwritev2(2) that the distribution's headers lack.
 * A kernel that does not know one answers EOPNOTSUPP, and nothing was moved.
 */
#ifndef UAPI_RWF_H
#define UAPI_RWF_H

#include <sys/uio.h>

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x00000008
#endif

/* Linux 6.14: through the page cache without staying in it. */
#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x00000080
#endif

/* Linux 6.18: no SIGPIPE from this call. */
#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x00000100
#endif

#endif
