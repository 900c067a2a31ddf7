/* SPDX-License-Identifier: MIT */
/*
 * A core made by image/ next to the one that the kernel writes of the same
 * process at the same instant: notes field by field, segments, memory, and
 * what gdb and elfutils say of both.
 *
 * The process stands in a signal-delivery-stop of the signal that will kill
 * it, so nothing runs between our look and the kernel's.
 */
#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <unistd.h>

#include "image/core.h"
#include "lib/kit.h"
#include "process/procfs.h"
#include "system/twin.h"
#include "tap.h"

/* ------------------------------------------------------------ other readers */

/* What a command prints, without the lines that name files. */
static char *output_of(const char *command)
{
	struct buf b = BUF_INIT;
	char line[4096];
	FILE *f = popen(command, "r");

	need(f, "a shell");
	while (fgets(line, sizeof(line), f))
		if (!strstr(line, "core.") && !strstr(line, "[New LWP"))
			buf_puts(&b, line);
	is_int(pclose(f), 0, "%.40s...", command);
	return buf_take(&b);
}

static char *gdb_of(const char *core, const char *more)
{
	char command[600], exe[200] = "";

	(void)!readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	snprintf(command, sizeof(command),
		 "gdb -nx -batch -iex 'set debuginfod enabled off' -ex 'p victim_words' "
		 "-ex 'info auxv' -ex 'info proc mappings' -ex 'p $_siginfo' "
		 "%s %s %s 2>&1", more, exe, core);
	return output_of(command);
}

static void compare_gdb(void)
{
	char *k = gdb_of("core.kernel", ""), *o = gdb_of("core.ours", "");
	char *all;

	is_str(o, k, "gdb says the same of both cores");
	ok(strstr(o, "words in .data") && strstr(o, "AT_PHDR") && strstr(o, "si_signo = 6"),
	   "  and has something to say");
	free(k);
	free(o);
	all = gdb_of("core.ours", "-ex 'info threads' -ex 'thread apply all bt'");
	for (unsigned i = 0; i < TWIN_THREADS; i++) {
		char lwp[40];

		snprintf(lwp, sizeof(lwp), "(LWP %d)", (int)twin_shared->tids[i]);
		ok(strstr(all, lwp), "gdb knows thread %u", i);
	}
	ok(strstr(all, "raise (sig=") && strstr(all, "victim_thread (arg=0x1)") &&
		   strstr(all, "victim_thread (arg=0x2)") && strstr(all, "victim_thread (arg=0x3)"),
	   "  and where they are");
	ok(!strstr(all, "\n  5 "), "  and no more of them");
	if (tap_shared->failed)
		printf("%s\n", all);
	free(all);
}

/* Our note has the length of a PRSTATUS: with its type it would be one. */
static void control_type(const struct twin_core *own)
{
	int fd = kit_must(open("core.ours", O_RDWR | O_CLOEXEC));
	const uint32_t type = NT_PRSTATUS;
	const struct twin_note *n = NULL;
	char *all;

	for (unsigned i = 0; i < own->notes_n; i++)
		if (own->notes[i].type == CORE_NOTE_TYPE)
			n = &own->notes[i];
	need(n && strcmp(n->name, CORE_NOTE_NAME) == 0, "our note is there");
	kit_write_all(fd, &type, sizeof(type), n->data - own->data - 12);
	close(fd);
	all = gdb_of("core.ours", "-ex 'info threads'");
	ok(strstr(all, "\n  5 "), "control: gdb takes our note for a thread by its type alone");
	free(all);
}

/* The checks see one byte of one register. */
static void control_registers(const struct twin_core *kernel, struct twin_core *own)
{
	int failed = tap_shared->failed;
	struct twin_note *n = &own->notes[0];

	printf("# the next failures are wanted\n");
	n->data[offsetof(struct elf_prstatus, pr_reg) + 8]++;
	tap_in_case = true;
	twin_compare_notes(kernel, own);
	tap_in_case = false;
	ok(tap_shared->case_failed > 0 && tap_shared->failed == failed,
	   "control: a byte of a register that differs is seen");
}

static void compare_elfutils(void)
{
	char *o = output_of("eu-readelf --notes core.ours 2>&1 >/dev/null; "
			    "readelf -nlW core.ours 2>&1 >/dev/null");

	is_str(o, "", "eu-readelf and readelf have no complaints");
	free(o);
	o = output_of("eu-readelf --notes core.ours | grep -c 'fpvalid: 1'");
	is_int(atoi(o), TWIN_THREADS, "eu-readelf finds the threads");
	free(o);
	o = output_of("eu-unstrip -n --core core.ours 2>&1 | grep -c libc");
	is_int(atoi(o), 1, "eu-unstrip finds the libraries");
	free(o);
}

/* --------------------------------------------------------------------- main */

/* The kernel writes cores, and writes them here. */
static bool pattern_is_here(void)
{
	const struct rlimit core = { RLIM_INFINITY, RLIM_INFINITY };
	char pattern[200];

	return setrlimit(RLIMIT_CORE, &core) == 0 &&
	       kit_line(pattern, sizeof(pattern), "cat /proc/sys/kernel/core_pattern") &&
	       !strpbrk(pattern, "|/") && strncmp(pattern, "core", 4) == 0;
}

static void find_kernels(void)
{
	DIR *dir = opendir(".");
	struct dirent *e;

	need(dir, "this directory");
	while ((e = readdir(dir)))
		if (strncmp(e->d_name, "core", 4) == 0 && strcmp(e->d_name, "core.ours") != 0)
			kit_must(rename(e->d_name, "core.kernel"));
	closedir(dir);
}

static void make_both(void)
{
	int status;

	kit_must(pipe2(twin_shared->go, O_CLOEXEC));
	fflush(NULL);
	twin_pid = kit_must(fork());
	if (twin_pid == 0)
		twin_victim();
	twin_stop();
	twin_write_ours("core.ours");
	kit_must(ptrace(PTRACE_DETACH, twin_pid, NULL, (void *)(uintptr_t)SIGABRT));
	/* Its other threads are still ours and are reaped by the wait for all. */
	while (waitpid(-1, &status, __WALL) != twin_pid)
		;
	need(WIFSIGNALED(status) && WCOREDUMP(status), "the kernel wrote a core");
	find_kernels();
}

static void clean(const char *dir)
{
	static const char *const names[] = { "core.ours", "core.kernel", "mapped file" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlink(names[i]);
	(void)rmdir(dir);
}

int main(void)
{
	char dir[] = "/tmp/decant-core-XXXXXX";
	static struct twin_core kernel, own;

	kit_start(60);
	if (!pattern_is_here())
		skip_all("the kernel hands cores to others (core_pattern), or may not write any");
	need(mkdtemp(dir) && chdir(dir) == 0, "a directory");
	twin_shared = kit_must(mmap(NULL, sizeof(*twin_shared), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	make_both();
	twin_read(&kernel, "core.kernel");
	twin_read(&own, "core.ours");
	twin_compare_order(&kernel, &own);
	twin_compare_notes(&kernel, &own);
	twin_compare_loads(&kernel, &own);
	compare_gdb();
	compare_elfutils();
	control_type(&own);
	control_registers(&kernel, &own);
	clean(dir);
	return done();
}
