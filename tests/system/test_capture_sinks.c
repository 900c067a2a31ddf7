/* SPDX-License-Identifier: MIT */
/*
 * Where a core goes, and when it does not: file systems with and without
 * O_DIRECT, disks that become full, streams, bounds that cannot be met,
 * targets that cannot be captured.  Complete or absent, with a sentence, and
 * the target as it was.
 */
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fs.h"
#include "lib/kit.h"
#include "lib/oracle.h"
#include "lib/take.h"
#include "lib/victims.h"
#include "tap.h"

#define LONG " --max-pause 10s"

static const char *const strategies[] = { "precopy", "fork", "stop" };

static void content(struct victim *v)
{
	const char *harm = victim_harm(v);

	ok(!harm, "the victim: %s", harm ? harm : "");
}

/* How many names there are in a directory. */
static int names_in(const char *dir)
{
	DIR *d = opendir(dir);
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n - 2;
}

static void good_core(const struct take *t, bool taken, const char *path)
{
	struct oracle o;

	ok(taken, "it is taken: %s", t->text);
	ok(oracle_check_file(path, &o), "it is good: %s", o.what);
}

/* ------------------------------------------------------------ file systems */

static void run_file_system(const void *arg)
{
	enum fs_kind kind = *(const enum fs_kind *)arg;
	const char *at = fs_dir(kind);
	char path[300], words[60];
	struct victim v;
	struct take t;
	struct stat st;
	unsigned s;

	victim_begin(&v, 0, "counter --mib 8 --rate 50");
	for (s = 0; s < 3; s++) {
		snprintf(path, sizeof(path), "%s/core-%u", at, s);
		snprintf(words, sizeof(words), "--strategy %s" LONG, strategies[s]);
		good_core(&t, take_core(&t, v.pid, path, words, ""), path);
		need(stat(path, &st) == 0, "the file");
		is_int(st.st_mode & 07777, 0600, "nobody else may read it");
		(void)unlink(path);
	}
	content(&v);
	victim_end(&v);
}

/* ------------------------------------------------------------- a full disk */

struct full {
	enum fs_kind kind;
	unsigned disk_mib, fill_mib, memory_mib;
};

/* 64 MiB of memory: the disk has room for some of it. */
static void run_full(const void *arg)
{
	const struct full *f = arg;
	char path[300], words[60], *at = fs_small(f->kind, f->disk_mib);
	struct victim v;
	struct take t;
	unsigned s;
	int before;

	victim_begin(&v, 0, "counter --mib %u --rate 50", f->memory_mib);
	before = names_in(at);
	for (s = 0; s < 3; s++) {
		snprintf(path, sizeof(path), "%s/core", at);
		snprintf(words, sizeof(words), "--strategy %s" LONG, strategies[s]);
		ok(!take_core(&t, v.pid, path, words, ""), "it cannot be taken");
		ok(WIFEXITED(t.status) && !t.late && strstr(t.text, "pace"),
		   "it says that there is no space: 0x%x %s", (unsigned)t.status, t.text);
		is_int(names_in(at), before, "no file is left");
		content(&v);
	}
	victim_end(&v);
	fs_drop(at);
}

/* The space goes away while it writes: what was free is taken by another. */
static void run_full_in_the_middle(void)
{
	char path[300], other[300], *at = fs_small(FS_TMPFS, 100);
	struct victim v;
	struct take t;
	unsigned i, refused = 0, n = kit_full() ? 40 : 8;
	int fd;

	victim_begin(&v, 0, "counter --mib 64 --rate 50");
	for (i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/core", at);
		snprintf(other, sizeof(other), "%s/other", at);
		take_begin(&t, v.pid, path,
			   i % 2 ? "--strategy fork" LONG : "--strategy precopy" LONG, "");
		kit_sleep_ms(4 + 3 * i);
		fd = kit_must(open(other, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
		for (off_t len = 0; len < 80 << 20 && posix_fallocate(fd, len, 4 << 20) == 0;)
			len += 4 << 20;
		close(fd);
		if (!take_end(&t)) {
			refused++;
			ok(strstr(t.text, "pace"), "it says that there is no space: %s", t.text);
			ok(access(path, F_OK) != 0, "no core");
			is_int(names_in(at), 1, "and no other file");
		} else {
			struct oracle o;

			ok(oracle_check_file(path, &o), "what is there is good: %s", o.what);
		}
		(void)unlink(path);
		(void)unlink(other);
		content(&v);
	}
	diag("%u of %u had no space", refused, n);
	victim_end(&v);
	fs_drop(at);
}

/* ----------------------------------------------------------------- streams */

static void run_stream(const void *arg)
{
	const char *strategy = arg;
	char fifo[300], path[300], words[60];
	struct victim v;
	struct take t;
	struct oracle o;
	pid_t cat;
	int status = 0;

	snprintf(fifo, sizeof(fifo), "%s/fifo", fs_dir(FS_TMPFS));
	snprintf(path, sizeof(path), "%s/streamed", fs_dir(FS_TMPFS));
	need(mkfifo(fifo, 0600) == 0, "a FIFO");
	victim_begin(&v, 0, "counter --mib 16 --rate 100 --threads 2");
	fflush(NULL);
	cat = kit_must(fork());
	if (cat == 0) {
		char buf[65536];
		int in, out;
		ssize_t r;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		in = kit_must(open(fifo, O_RDONLY));
		out = kit_must(creat(path, 0600));
		while ((r = read(in, buf, sizeof(buf))) > 0)
			kit_write_all(out, buf, (uint64_t)r, -1);
		_exit(0);
	}
	snprintf(words, sizeof(words), "--strategy %s" LONG, strategy);
	ok(take_core(&t, v.pid, fifo, words, ""), "it is taken: %s", t.text);
	waitpid(cat, &status, 0);
	ok(oracle_check_file(path, &o), "it is good: %s", o.what);
	content(&v);
	victim_end(&v);
	(void)unlink(fifo);
	(void)unlink(path);
}

/* The reader goes away in the middle. */
static void run_stream_broken(void)
{
	char fifo[300];
	struct victim v;
	struct take t;
	pid_t reader;

	snprintf(fifo, sizeof(fifo), "%s/fifo", fs_dir(FS_TMPFS));
	need(mkfifo(fifo, 0600) == 0, "a FIFO");
	victim_begin(&v, 0, "counter --mib 16 --rate 100");
	fflush(NULL);
	reader = kit_must(fork());
	if (reader == 0) {
		char buf[65536];
		int in;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		in = kit_must(open(fifo, O_RDONLY));

		_exit(read(in, buf, sizeof(buf)) < 0);
	}
	ok(!take_core(&t, v.pid, fifo, "--strategy fork" LONG, ""), "it fails");
	ok(WIFEXITED(t.status) && !t.late, "by itself: 0x%x %s", (unsigned)t.status, t.text);
	waitpid(reader, NULL, 0);
	content(&v);
	victim_end(&v);
	(void)unlink(fifo);
}

/* ---------------------------------------------------------------- refusals */

static void refuses(pid_t pid, const char *words, const char *says)
{
	char path[300];
	struct take t;

	snprintf(path, sizeof(path), "%s/refused", fs_dir(FS_TMPFS));
	ok(!take_core(&t, pid, path, words, ""), "refused");
	ok(WIFEXITED(t.status) && WEXITSTATUS(t.status) == 1 && strstr(t.text, says),
	   "status 0x%x, \"%s\" where \"%s\" was wanted", (unsigned)t.status, t.text, says);
	ok(access(path, F_OK) != 0, "no file");
}

/* A bound that nothing meets: the target is left alone. */
static void run_bound(void)
{
	struct victim v;
	struct take t;
	char path[300];
	uint64_t huge;

	victim_begin(&v, 0, "counter --mib 64 --thp --rate 1000");
	huge = victim_huge_bytes(&v);
	refuses(v.pid, "--max-pause 1us", "pause");
	is_int(victim_huge_bytes(&v), huge, "its huge pages are intact");
	content(&v);
	snprintf(path, sizeof(path), "%s/best", fs_dir(FS_TMPFS));
	good_core(&t, take_core(&t, v.pid, path, "--max-pause 1us --best-effort", ""), path);
	(void)unlink(path);
	content(&v);
	victim_end(&v);
}

static void run_refusals(void)
{
	char by[30];
	struct victim v;
	siginfo_t info;
	pid_t pid;

	refuses(4194000, "", "no such process");
	refuses(2, "", "kernel thread");
	pid = kit_must(fork());
	if (pid == 0)
		_exit(0);
	need(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0, "a zombie");
	refuses(pid, "", "zombie");
	waitpid(pid, NULL, 0);

	victim_begin(&v, 0, "blocker nanosleep");
	need(ptrace(PTRACE_SEIZE, v.pid, 0, 0) == 0, "we trace it");
	snprintf(by, sizeof(by), "%d", getpid());
	refuses(v.pid, "", by);
	need(ptrace(PTRACE_INTERRUPT, v.pid, 0, 0) == 0 && waitpid(v.pid, NULL, __WALL) == v.pid &&
	     ptrace(PTRACE_DETACH, v.pid, 0, 0) == 0, "we let it go");
	content(&v);
	victim_end(&v);
}

/* As nobody, who may not look into other people's processes. */
static void run_not_allowed(void)
{
	struct victim v;
	struct take t;
	char path[300], words[1] = "";

	victim_begin(&v, 0, "blocker nanosleep");
	snprintf(path, sizeof(path), "%s/nobody", fs_dir(FS_TMPFS));
	need(chmod(fs_dir(FS_TMPFS), 0777) == 0, "a directory for all");
	fflush(NULL);
	pid_t pid = kit_must(fork());
	if (pid == 0) {
		need(setgid(65534) == 0 && setuid(65534) == 0, "nobody");
		bool taken = take_core(&t, v.pid, path, words, "");

		ok(!taken && strstr(t.text, "CAP_SYS_PTRACE"), "refused: %s", t.text);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	content(&v);
	victim_end(&v);
}

/* The smallest 32-bit program: pause() for ever. */
static void write_elf32(const char *path)
{
	static const unsigned char code[] = {
		0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7, /* mov $29,%eax; int $0x80; jmp */
	};
	struct {
		Elf32_Ehdr e;
		Elf32_Phdr p;
		unsigned char code[16];
	} f = { 0 };
	int fd;

	memcpy(f.e.e_ident, ELFMAG, SELFMAG);
	f.e.e_ident[EI_CLASS] = ELFCLASS32;
	f.e.e_ident[EI_DATA] = ELFDATA2LSB;
	f.e.e_ident[EI_VERSION] = EV_CURRENT;
	f.e.e_type = ET_EXEC;
	f.e.e_machine = EM_386;
	f.e.e_version = EV_CURRENT;
	f.e.e_entry = 0x08048000 + sizeof(f.e) + sizeof(f.p);
	f.e.e_phoff = sizeof(f.e);
	f.e.e_ehsize = sizeof(f.e);
	f.e.e_phentsize = sizeof(f.p);
	f.e.e_phnum = 1;
	f.p.p_type = PT_LOAD;
	f.p.p_vaddr = f.p.p_paddr = 0x08048000;
	f.p.p_filesz = f.p.p_memsz = sizeof(f);
	f.p.p_flags = PF_R | PF_X;
	f.p.p_align = 4096;
	memcpy(f.code, code, sizeof(code));
	fd = kit_must(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700));
	kit_write_all(fd, &f, sizeof(f), -1);
	close(fd);
}

static void run_32_bit(void)
{
	char path[300];
	int status;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/elf32", fs_dir(FS_TMPFS));
	write_elf32(path);
	fflush(NULL);
	pid = kit_must(fork());
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(path, path, (char *)NULL);
		_exit(errno == ENOEXEC ? 77 : 1);
	}
	kit_sleep_ms(50);
	if (waitpid(pid, &status, WNOHANG) == pid)
		skip("this kernel runs no 32-bit programs");
	refuses(pid, "", "32-bit");
	is_int(waitpid(pid, &status, WNOHANG), 0, "it lives");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

int main(void)
{
	static const enum fs_kind kinds[] = { FS_TMPFS, FS_EXT4, FS_XFS, FS_BTRFS };
	static const struct full small = { FS_TMPFS, 20, 0, 64 }, ext4 = { FS_EXT4, 40, 0, 64 };
	size_t i;

	need_root();
	kit_start(200);
	tap_case_seconds = kit_full() ? 300 : 60;
	fs_start();
	for (i = 0; i < FS_KINDS; i++)
		kit_case(run_file_system, &kinds[i], "into %s", fs_names[kinds[i]]);
	kit_case(run_full, &small, "a small tmpfs");
	kit_case(run_full, &ext4, "a small ext4");
	if (kit_wanted("full in the middle"))
		tap_case("the disk is full in the middle", run_full_in_the_middle);
	kit_case(run_stream, "fork", "a FIFO, by fork");
	kit_case(run_stream, "stop", "a FIFO, by stop");
	kit_case(run_stream, "auto", "a FIFO");
	if (kit_wanted("broken stream"))
		tap_case("a reader that goes away", run_stream_broken);
	if (kit_wanted("bound"))
		tap_case("a bound that nothing meets", run_bound);
	if (kit_wanted("refusals"))
		tap_case("refusals: none, kernel thread, zombie, traced", run_refusals);
	if (kit_wanted("not allowed"))
		tap_case("refusals: not allowed", run_not_allowed);
	if (kit_wanted("32-bit"))
		tap_case("refusals: 32-bit", run_32_bit);
	return done();
}
