/* SPDX-License-Identifier: MIT */
/* end/: plain reads and writes of pipes and FIFOs; nothing waits, nothing kills. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "end/end.h"
#include "lib/opened.h"
#include "tap.h"

#define PAGE 4096

enum pipe_mode { PIPE_NONBLOCK, PIPE_REOPEN, PIPE_NOWAIT, PIPE_POLL, PIPE_MODES };

static const struct {
	const char *name, *mask;
	bool nonblock, nowait, poll_first, own_fd;
} pipe_modes[PIPE_MODES] = {
	[PIPE_NONBLOCK] = { "O_NONBLOCK", "pipe_reopen,pipe_nowait", true, false, false, false },
	[PIPE_REOPEN] = { "reopened", "", true, false, false, true },
	[PIPE_NOWAIT] = { "RWF_NOWAIT", "pipe_reopen", true, true, false, false },
	[PIPE_POLL] = { "polled", "pipe_reopen,pipe_nowait", false, false, true, false },
};

static void check_pipe_open(const struct end *e, enum pipe_mode mode, int fd, int flags)
{
	ok(e->nonblock == pipe_modes[mode].nonblock && e->nowait == pipe_modes[mode].nowait &&
	   e->poll_first == pipe_modes[mode].poll_first, "opened in this mode");
	is_int(e->io_fd != fd, pipe_modes[mode].own_fd, "with a descriptor of our own or not");
	is_int(fcntl(fd, F_GETFL), flags, "the caller's flags are as they were");
}

static void test_pipe(const void *arg)
{
	enum pipe_mode mode = *(const enum pipe_mode *)arg;
	int fds[2], flags = mode == PIPE_NONBLOCK ? O_NONBLOCK : 0;
	struct end from, to;
	char buf[8] = "";

	opened_mask(pipe_modes[mode].mask);
	if (mode == PIPE_NOWAIT && !caps_has(opened_caps, FACT_PIPE_NOWAIT))
		skip("this kernel has no RWF_NOWAIT on pipes");
	need(pipe2(fds, flags) == 0, "pipe");
	from = opened_fd(DECANT_END_PIPE, fds[0], 0, END_SOURCE);
	to = opened_fd(DECANT_END_PIPE, fds[1], DECANT_CURRENT, END_SINK);
	check_pipe_open(&from, mode, fds[0], O_RDONLY | flags);
	check_pipe_open(&to, mode, fds[1], O_WRONLY | flags);
	is_int(end_read(&from, 0, buf, 8), -EAGAIN, "an empty pipe does not wait");
	is_int(end_write(&to, 0, "abc", 3, false), 3, "write");
	is_int(end_read(&from, 0, buf, 8), 3, "read");
	is_mem(buf, "abc", 3, "the bytes");
	is_int(opened_fill(&to), 65536, "a full pipe does not wait");
	end_close(&to, 0);
	close(fds[1]);
	while (read(fds[0], (char[PAGE]){ 0 }, PAGE) == PAGE)
		;
	is_int(end_read(&from, 0, buf, 8), 0, "the end, when all writers are gone");
	end_close(&from, 0);
	is_int(fcntl(fds[0], F_GETFL), O_RDONLY | flags, "flags after the close");
}

static volatile sig_atomic_t pipes_broken;

static void on_sigpipe(int sig)
{
	(void)sig;
	pipes_broken++;
}

struct broken {
	enum pipe_mode mode;
	bool nosignal;
};

/* The default action of SIGPIPE is in force: being killed is the failure. */
static void test_broken_pipe(const void *arg)
{
	const struct broken *b = arg;
	struct end to;
	sigset_t set;
	int fds[2];

	opened_mask(pipe_modes[b->mode].mask);
	need(pipe2(fds, b->mode == PIPE_NONBLOCK ? O_NONBLOCK : 0) == 0, "pipe");
	to = opened_fd(DECANT_END_PIPE, fds[1], 0, END_SINK);
	to.nosignal = b->nosignal;
	close(fds[0]);
	is_int(end_write(&to, 0, "abc", 3, false), -EPIPE, "nobody reads");
	need(sigpending(&set) == 0, "sigpending");
	is_int(sigismember(&set, SIGPIPE), 0, "no signal is left pending");
	need(pthread_sigmask(SIG_BLOCK, NULL, &set) == 0, "sigmask");
	is_int(sigismember(&set, SIGPIPE), 0, "nor blocked");

	/* One that was there before is the caller's. */
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	signal(SIGPIPE, on_sigpipe);
	need(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0 && raise(SIGPIPE) == 0, "a signal");
	is_int(end_write(&to, 0, "abc", 3, false), -EPIPE, "again, with one pending");
	need(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0, "sigmask");
	is_int(pipes_broken, 1, "the caller's own arrives, and only that");
	is_int(write(fds[1], "abc", 3), -1, "a bare write");
	is_int(pipes_broken, 2, "control: raises it");
}

static void test_fifo(void)
{
	char path[] = "/tmp/decant-fifo-XXXXXX";
	struct err err = { "" };
	int reader, writer;
	struct end e;
	char buf[4];

	need(mkstemp(path) >= 0 && unlink(path) == 0 && mkfifo(path, 0600) == 0, "fifo");
	reader = open(path, O_RDONLY | O_NONBLOCK);
	writer = open(path, O_WRONLY);
	need(reader >= 0 && writer >= 0 && fcntl(reader, F_SETFL, 0) == 0, "fifo");
	opened_mask("pipe_reopen");
	e = opened_fd(DECANT_END_PIPE, reader, 0, END_SOURCE);
	is_int(end_read(&e, 0, buf, 4), -EAGAIN, "RWF_NOWAIT, which a FIFO may not know");
	ok(e.nowait || e.poll_first, "then it is polled");
	e = opened_fd(DECANT_END_PIPE, writer, 0, END_SINK);
	is_int(end_write(&e, 0, "abcd", 4, false), 4, "likewise a write");
	is_int(opened_fill(&e), 65536 - PAGE, "that never waits");
	close(reader);
	is_int(end_write(&e, 0, "abcd", 4, false), -EPIPE, "nobody reads any more");
	opened_mask(NULL);
	need(end_init(&e, &(struct decant_end){ .kind = DECANT_END_PIPE, .fd = writer }, END_SINK,
		      NULL) == 0, "init");
	is_int(end_open(&e, opened_caps, &err), -EPIPE, "a FIFO without a reader is not opened");
	ok(strstr(err.text, "nobody has it open for reading"), "and it says so: %s", err.text);
	unlink(path);
}

int main(void)
{
	unsigned i;

	opened_mask(NULL);
	for (i = 0; i < PIPE_MODES; i++)
		tap_case_arg(test_pipe, &(enum pipe_mode){ i }, "pipes: %s", pipe_modes[i].name);
	for (i = 0; i < 2 * PIPE_MODES; i++)
		tap_case_arg(test_broken_pipe, &(struct broken){ i / 2, i % 2 },
			     "broken pipes: %s, %s RWF_NOSIGNAL", pipe_modes[i / 2].name,
			     i % 2 ? "with" : "without");
	tap_case("FIFOs", test_fifo);
	caps_destroy(opened_caps);
	return done();
}
