/* SPDX-License-Identifier: MIT */
/*
 * Libraries that only some runs need, loaded by the first that does: wrappers
 * as in sys.h.  Not plug-ins: only libraries that we were built against.
 */
#ifndef SYS_LOAD_H
#define SYS_LOAD_H

/* *ret is never given back.  -ENOENT: it is not there, or cannot be linked. */
int sys_dlopen(void **ret, const char *name);
/* -ENOSYS: it has no such symbol. */
int sys_dlsym(void **ret, void *library, const char *symbol);

#endif
