/* SPDX-License-Identifier: MIT */
/*
 * What newer kernels tell through statx(2), for headers before Linux 6.1.
 * Not for struct statx itself: decant needs one with the stx_dio members.
 */
#ifndef UAPI_STATX_H
#define UAPI_STATX_H

#include <fcntl.h>
#include <sys/stat.h>

#ifndef STATX_DIOALIGN
#define STATX_DIOALIGN 0x00002000U
#endif

#ifndef STATX_ATTR_VERITY
#define STATX_ATTR_VERITY 0x00100000
#endif

#endif
