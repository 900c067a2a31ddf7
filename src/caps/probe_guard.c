/* SPDX-License-Identifier: MIT */
/* What keeps a file from changing while it is sent. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "caps/probe.h"
#include "sys/sys.h"

/*
 * A lease wants a descriptor for reading only, and no writers.  That a writer
 * then has to wait is not tried: its signal would be our caller's to handle.
 */
void probe_lease(struct caps *c, struct probe *p)
{
	_cleanup_close_ int fd = -1;
	int writer = probe_temp_file(p), r;

	(void)c;
	if (writer < 0)
		return;
	fd = probe_reopen(writer, O_RDONLY);
	(void)sys_close(writer);
	if (fd < 0) {
		probe_untried(p, fd, "/proc/self/fd");
		return;
	}
	r = sys_setlease(fd, F_RDLCK);
	if (r < 0) {
		probe_refused(p, r, "F_SETLEASE on a file in %s", probe_dir());
		return;
	}
	r = sys_getlease(fd);
	if (r == F_RDLCK)
		probe_yes(p, 0, "got a read lease on a file in %s", probe_dir());
	else if (r < 0)
		probe_refused(p, r, "F_GETLEASE on a file in %s", probe_dir());
	else
		probe_no(p, "F_SETLEASE on a file in %s: took the lease, and it is not there",
			 probe_dir());
}

void probe_seals(struct caps *c, struct probe *p)
{
	_cleanup_close_ int fd = sys_memfd_create("decant-probe", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ssize_t n;
	int r;

	(void)c;
	if (fd < 0) {
		probe_refused(p, fd, "memfd_create");
		return;
	}
	r = probe_write_all(fd, "A", 1, 0);
	if (r < 0) {
		probe_untried(p, r, "write to a memory file");
		return;
	}
	r = sys_addseals(fd, F_SEAL_WRITE);
	if (r < 0) {
		probe_refused(p, r, "F_ADD_SEALS with F_SEAL_WRITE");
		return;
	}
	n = sys_pwrite(fd, "B", 1, 0);
	if (n == -EPERM)
		probe_yes(p, 0, "a write to a sealed memory file was refused");
	else if (n < 0)
		probe_untried(p, (int)n, "write to a sealed memory file");
	else
		probe_no(p, "a sealed memory file could be written");
}
