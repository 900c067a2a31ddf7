/* SPDX-License-Identifier: MIT */
/*
 * io_uring constants that newer kernels know and liburing 2.3's header lacks.
 * Not a copy of the kernel's header: only what decant uses.
 */
#ifndef UAPI_IO_URING_H
#define UAPI_IO_URING_H

#include <liburing.h>

/* Linux 6.2: sqe->ioprio of SEND_ZC asks the notification how it went ... */
#ifndef IORING_SEND_ZC_REPORT_USAGE
#define IORING_SEND_ZC_REPORT_USAGE (1U << 3)
#endif

/* ... and its res says so.  Other bits are reserved: compare as a flag. */
#ifndef IORING_NOTIF_USAGE_ZC_COPIED
#define IORING_NOTIF_USAGE_ZC_COPIED (1U << 31)
#endif

#endif
