/* SPDX-License-Identifier: MIT */
#include "sys/load.h"

#include <dlfcn.h>

#include "sys/wrap.h"

int sys_dlopen(void **ret, const char *name)
{
	int r = sys_fault("dlopen");
	void *p = r < 0 ? NULL : dlopen(name, RTLD_NOW | RTLD_LOCAL);

	if (!p)
		return r < 0 ? r : -ENOENT;
	*ret = p;
	return 0;
}

int sys_dlsym(void **ret, void *library, const char *symbol)
{
	int r = sys_fault("dlsym");
	void *p = r < 0 ? NULL : dlsym(library, symbol);

	if (!p)
		return r < 0 ? r : -ENOSYS;
	*ret = p;
	return 0;
}
