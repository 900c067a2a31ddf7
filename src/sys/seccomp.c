/* SPDX-License-Identifier: MIT */
#include "sys/seccomp.h"

#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/wrap.h"

int sys_seccomp(unsigned op, unsigned flags, void *arg)
{
	return WRAP_ONCE("seccomp", (int)syscall(SYS_seccomp, op, flags, arg));
}

int sys_notif_recv(int listener, struct seccomp_notif *ret)
{
	return WRAP_ONCE("notif_recv", ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, ret));
}

int sys_notif_send(int listener, struct seccomp_notif_resp *resp)
{
	return WRAP_RETRY("notif_send", ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, resp));
}

int sys_notif_id_valid(int listener, uint64_t id)
{
	return WRAP_RETRY("notif_id_valid", ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id));
}

int sys_notif_set_flags(int listener, uint64_t flags)
{
	return WRAP_RETRY("notif_set_flags",
			  ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, flags));
}
