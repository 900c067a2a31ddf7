/* SPDX-License-Identifier: MIT */
/* plan/residency: how much of a file is in the page cache. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/vfs.h>

#include "lib/kit.h"
#include "plan/residency.h"
#include "sys/fault.h"
#include "tap.h"

#define MIB (1ull << 20)
#define SCRATCH_BYTES (8 * MIB)

/* Half of the file in the page cache, as the file system has whole blocks. */
static int half_cold_file(void)
{
	static char half[SCRATCH_BYTES / 2];
	int fd = kit_scratch(0);

	need(ftruncate(fd, SCRATCH_BYTES) == 0, "scratch file");
	memset(half, 'r', sizeof(half));
	need(pwrite(fd, half, sizeof(half), 0) == sizeof(half) &&
	     pwrite(fd, half, sizeof(half), sizeof(half)) == sizeof(half) && fsync(fd) == 0,
	     "scratch file");
	is_int(residency_cold_permille(fd, 0, SCRATCH_BYTES), 0, "all of it is hot");
	need(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0, "fadvise");
	need(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM) == 0, "fadvise");
	return fd;
}

static void test_residency(void)
{
	static char half[SCRATCH_BYTES / 2];
	struct statfs fs;
	int fd, cold;

	need(statfs("/tmp", &fs) == 0, "statfs");
	if (fs.f_type == 0x01021994)
		skip("/tmp is a tmpfs, whose pages cannot be thrown out");
	fd = half_cold_file();
	is_int(residency_cold_permille(fd, 0, SCRATCH_BYTES), 1000, "all of it is cold");
	need(pread(fd, half, sizeof(half), 0) == sizeof(half), "read");
	cold = (int)residency_cold_permille(fd, 0, SCRATCH_BYTES);
	ok(cold >= 450 && cold <= 500, "half of it is cold: %d", cold);
	is_int(residency_cold_permille(fd, 100, MIB), 0, "of the first half nothing");
	is_int(residency_cold_permille(fd, SCRATCH_BYTES - MIB - 100, MIB), 1000,
	       "of the last half all");
	is_int(residency_cold_permille(fd, 0, 0), 0, "of nothing nothing");
	is_int(residency_cold_permille(-1, 0, MIB), 0, "of what cannot be asked nothing");
}

#ifdef DECANT_FAULTS
/* cachestat(2) is new, and only for one's own files. */
static void test_residency_sampled(void)
{
	struct sys_fault_plan no = {
		.nth = 1, .repeat = 1000, .name = "cachestat", .error = EPERM,
	};
	static char half[SCRATCH_BYTES / 2];
	int fd = half_cold_file(), cold;

	need(pread(fd, half, sizeof(half), 0) == sizeof(half), "read");
	sys_fault_arm(&no);
	cold = (int)residency_cold_permille(fd, 0, SCRATCH_BYTES);
	is_int(sys_fault_fired(), 1, "control: cachestat was refused");
	ok(cold > 300 && cold <= 550, "half of it is cold by samples: %d", cold);
	is_int(residency_cold_permille(fd, 0, MIB), 0, "of the first half nothing");
}
#else
static void test_residency_sampled(void)
{
	skip("cachestat is made to fail only with -Dfaults=true");
}
#endif

int main(void)
{
	tap_case("how much is in the page cache", test_residency);
	tap_case("the same by samples", test_residency_sampled);
	return done();
}
