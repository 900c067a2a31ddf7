/* SPDX-License-Identifier: MIT */
/*
 * Whether a program file can have the shim in it, by its first page.
 * Not whether it can be executed: the kernel says that.
 */
#ifndef SHIM_LOOK_H
#define SHIM_LOOK_H

#include <stdbool.h>
#include <stdint.h>

/* true: it cannot; ret_why: enum shared_why.  Files that cannot be read: false. */
bool shim_look_program(const char *path, uint32_t *ret_why);

#endif
