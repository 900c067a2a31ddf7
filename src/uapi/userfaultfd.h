/* SPDX-License-Identifier: MIT */
/*
 * userfaultfd(2)'s asynchronous write protection, for headers before Linux 6.7.
 * Not a wrapper: those are in sys/proc.h.
 */
#ifndef UAPI_USERFAULTFD_H
#define UAPI_USERFAULTFD_H

#include <linux/userfaultfd.h>
#include <sys/syscall.h>

/* Linux 6.4: holes can be protected by markers. */
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif

/* Linux 6.7: a write fault takes the protection off, and nobody is told. */
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

#endif
