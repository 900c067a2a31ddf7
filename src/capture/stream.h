/* SPDX-License-Identifier: MIT */
/*
 * The image as a stream, first byte to last: for pipes, sockets and compressed
 * files.  Not for images that are written in rounds.
 */
#ifndef CAPTURE_STREAM_H
#define CAPTURE_STREAM_H

#include "capture/capture.h"

/* All of it, headers included, from a shadow or from the stopped target. */
int stream_write(struct capture *c, enum capture_from from);

#endif
