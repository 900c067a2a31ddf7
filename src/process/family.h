/* SPDX-License-Identifier: MIT */
/*
 * A process and its descendants, as /proc shows them.  Not kept up to date: ask
 * again when those that are known stand still, for they can have no more then.
 */
#ifndef PROCESS_FAMILY_H
#define PROCESS_FAMILY_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Root first, then its descendants, parents before their children; no zombies.
 * *ret and *size are of an earlier call, kept and enlarged, and free()d by the
 * caller.  Returns the number; 0: root is not there.
 */
int family_list(pid_t root, pid_t **ret, size_t *size);

#endif
