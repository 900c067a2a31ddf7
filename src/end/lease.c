/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include "end/private.h"
#include "sys/sys.h"

/*
 * Who breaks a lease makes the kernel send a signal, by default SIGIO, which
 * by default kills.  So the signal is one that is ignored by default (SIGURG),
 * and as soon as the lease is taken its owner is taken away: then none is sent
 * at all, and a handler that the program has for SIGURG is left alone too.
 * SIGURG is for the moment between the two calls.
 */
static int end_lease_set(int fd)
{
	int r = sys_setsig(fd, SIGURG);

	if (r < 0)
		return r;
	r = sys_setlease(fd, F_RDLCK);
	if (r < 0)
		return r;
	return sys_setown_ex(fd, F_OWNER_PID, 0);
}

int end_lease_take(struct end *e, struct caps *caps, struct err *reterr)
{
	int fd, r;

	if (e->lease_fd >= 0)
		return 0;
	if (e->side != END_SOURCE || e->kind != DECANT_END_FILE || e->block_device)
		return err_set(reterr, -ENOTSUP, "lease: only a regular source file can have one");
	if (caps_masked(caps, FACT_LEASE))
		return err_set(reterr, -ENOTSUP, "lease: %s", caps_why(caps, FACT_LEASE));
	/*
	 * On an opening of our own, which is read-only as a read lease demands
	 * and whose signal and owner are nobody else's.
	 */
	fd = end_reopen(e->fd, O_RDONLY | O_NONBLOCK);
	if (fd < 0)
		return err_errno(reterr, fd, "lease: opening the source anew");
	r = end_lease_set(fd);
	if (r < 0) {
		(void)sys_close(fd);
		if (r == -EAGAIN)
			return err_set(reterr, r, "lease: the source is open for writing");
		if (r == -EACCES || r == -EPERM)
			return err_set(reterr, -EACCES, "lease: the source is not our file");
		return err_errno(reterr, r, "lease");
	}
	e->lease_fd = fd;
	return 0;
}

bool end_lease_holds(const struct end *e)
{
	return e->lease_fd >= 0 && sys_getlease(e->lease_fd) == F_RDLCK;
}

void end_lease_drop(struct end *e)
{
	if (e->lease_fd < 0)
		return;
	/* A lease is given back with the opening that holds it. */
	(void)sys_close(e->lease_fd);
	e->lease_fd = -1;
}
