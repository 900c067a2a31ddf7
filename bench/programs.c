/* SPDX-License-Identifier: MIT */
/*
 * Other programs that do the same: cp, cat, socat, iperf3.  Their time begins
 * before they are started, for that is how they are used; one that is not
 * installed is left out.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "peer.h"

extern char **environ;

/* in, out: its standard input and output; -1: /dev/null. */
static int program_start(const char *const argv[], int in, int out, pid_t *ret)
{
	posix_spawn_file_actions_t files;
	int r = posix_spawn_file_actions_init(&files);

	if (r != 0)
		return -r;
	if (in >= 0)
		r = posix_spawn_file_actions_adddup2(&files, in, 0);
	else
		r = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	if (r == 0 && out >= 0)
		r = posix_spawn_file_actions_adddup2(&files, out, 1);
	else if (r == 0)
		r = posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
	if (r == 0)
		r = posix_spawnp(ret, argv[0], &files, NULL, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&files);
	return -r;
}

static int program_end(pid_t pid, double *ret_cpu_s)
{
	struct rusage use;
	int status;

	if (wait4(pid, &status, 0, &use) < 0)
		return -errno;
	*ret_cpu_s = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
		     (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

int program_run(const char *const argv[], int in, int out, double *ret_cpu_s)
{
	pid_t pid;
	int r = program_start(argv, in, out, &pid);

	return r < 0 ? r : program_end(pid, ret_cpu_s);
}

static int program_cat(struct setting *s, const struct mover *m, struct sample *ret)
{
	const char *argv[] = { "cat", s->paths[0], NULL };

	(void)m;
	return program_run(argv, -1, s->to[0], &ret->cpu_s);
}

static int program_socat(struct setting *s, const struct mover *m, struct sample *ret)
{
	const char *argv[] = { "socat", "-u", "-b", "262144", "STDIN", "STDOUT", NULL };
	int in = open(s->paths[0], O_RDONLY | O_CLOEXEC), r = in < 0 ? -errno : 0;

	(void)m;
	if (r == 0)
		r = program_run(argv, in, s->to[0], &ret->cpu_s);
	if (in >= 0)
		close(in);
	return r;
}

static int program_cp(struct setting *s, const struct mover *m, struct sample *ret)
{
	const char *argv[] = { "cp", s->paths[0], s->to_path, NULL };
	const char *flush[] = { "sync", "-d", s->to_path, NULL };
	double cpu;
	int r;

	(void)m;
	r = program_run(argv, -1, -1, &ret->cpu_s);
	if (r == 0 && s->c->durable) {
		r = program_run(flush, -1, -1, &cpu);
		ret->cpu_s += cpu;
	}
	return r;
}

/* A port that was free a moment ago. */
static int program_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port = -1;

	if (fd >= 0 && bind(fd, (void *)&a, len) == 0 && getsockname(fd, (void *)&a, &len) == 0)
		port = ntohs(a.sin_port);
	if (fd >= 0)
		close(fd);
	return port;
}

/* The sender's line: "... GBytes  123456 Kbits/sec ... sender". */
static double program_iperf3_bits(FILE *f)
{
	double kbits = 0;
	char line[256];

	rewind(f);
	while (fgets(line, sizeof(line), f)) {
		const char *p = strstr(line, "Bytes");

		if (p && strstr(line, "sender"))
			(void)sscanf(p, "Bytes %lf", &kbits);
	}
	return kbits * 1000;
}

/* Its own word for its speed: it waits for a second here and there. */
static int program_iperf3_client(struct setting *s, char *port, FILE *out, struct sample *ret)
{
	char bytes[32];
	const char *argv[] = { "iperf3", "-c", "127.0.0.1", "-p", port, "-F", s->paths[0],
			 "-n", bytes, "-f", "k", NULL };
	double bits = 0;
	int r = -EIO;

	snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)s->c->piece);
	/* The server needs a moment before it listens. */
	for (int try = 0; try < 50 && r < 0; try++) {
		usleep(20000);
		rewind(out);
		r = ftruncate(fileno(out), 0) < 0 ? -errno :
			program_run(argv, -1, fileno(out), &ret->cpu_s);
	}
	if (r == 0)
		bits = program_iperf3_bits(out);
	if (bits > 0)
		ret->seconds = (double)s->c->piece * 8 / bits;
	return r < 0 || bits > 0 ? r : -EIO;
}

static int program_iperf3(struct setting *s, const struct mover *m, struct sample *ret)
{
	char port[16], out_path[300];
	const char *argv[] = { "iperf3", "-s", "-1", "-B", "127.0.0.1", "-p", port, NULL };
	double cpu;
	pid_t server;
	FILE *out;
	int r;

	(void)m;
	snprintf(port, sizeof(port), "%d", program_port());
	snprintf(out_path, sizeof(out_path), "%s/iperf3", s->scratch);
	out = fopen(out_path, "w+");
	if (!out)
		return -errno;
	peer_on_its_cpus(true);
	r = program_start(argv, -1, -1, &server);
	peer_on_its_cpus(false);
	if (r == 0) {
		r = program_iperf3_client(s, port, out, ret);
		if (r < 0)
			(void)kill(server, SIGTERM);
		(void)program_end(server, &cpu);
	}
	fclose(out);
	unlink(out_path);
	return r;
}

static bool program_there(const char *name)
{
	char *path = strdup(getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin"), *rest = path;
	bool there = false;
	char full[300];

	for (char *dir; !there && (dir = strsep(&rest, ":"));) {
		snprintf(full, sizeof(full), "%s/%s", dir, name);
		there = access(full, X_OK) == 0;
	}
	free(path);
	return there;
}

static struct mover *program_add(struct movers *ms, const char *program, const char *name,
				 int (*run)(struct setting *, const struct mover *,
					    struct sample *))
{
	struct mover *m;

	if (!program_there(program))
		return NULL;
	m = movers_new(ms, "program", name);
	m->run = run;
	m->blocking = m->own_time = true;
	return m;
}

void programs_add(struct movers *ms, const struct setting *s)
{
	const struct bench_case *c = s->c;
	struct mover *m;

	if (c->from_memory || c->at_once > 1 || case_transfers(c) == 0)
		return;
	if (c->to == SINK_FILE) {
		program_add(ms, "cp", "cp", program_cp);
		return;
	}
	/* Where a sample is many transfers, starting the program is all we would see. */
	if (c->repeat > 1)
		return;
	program_add(ms, "cat", "cat", program_cat);
	program_add(ms, "socat", "socat -b 256K", program_socat);
	if (c->to != SINK_TCP || c->cold || c->sleeping)
		return;
	m = program_add(ms, "iperf3", "iperf3 -F", program_iperf3);
	if (m) {
		m->own_receiver = true;
		m->rounds = 3;
	}
}
