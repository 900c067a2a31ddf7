/* SPDX-License-Identifier: MIT */
/* decant_calibrate(): a file of costs, and nothing else, is left behind. */
#include <decant.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "tap.h"

static char dir[] = "/tmp/decant-calibrate-XXXXXX", path[64], lines[1024];

static unsigned entries(const char *name)
{
	DIR *d = opendir(name);
	unsigned n = 0;

	need(d, "%s", name);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void on_line(void *arg, const char *line)
{
	(void)arg;
	snprintf(lines, sizeof(lines), "%s", line);
}

static struct decant *opened(const char *cost_file)
{
	struct decant_options o = DECANT_OPTIONS_INIT;
	struct decant *d = NULL;

	o.cost_file = cost_file;
	o.debug = on_line;
	lines[0] = '\0';
	need(decant_open(&d, &o) == 0, "engine: %s", decant_strerror(NULL));
	return d;
}

static void refuse(struct decant *d, const char *to, const char *scratch, unsigned seconds,
		   int code, const char *words)
{
	is_int(decant_calibrate(d, to, scratch, seconds), code, "refused: %s", words);
	ok(strstr(decant_strerror(d), words), "the sentence is \"%s\"", decant_strerror(d));
}

static void test_refusals(void)
{
	struct decant *d = opened("");
	char inside[96];

	snprintf(inside, sizeof(inside), "%s/none/cost", path);
	is_int(decant_calibrate(NULL, path, dir, 1), -EINVAL, "no engine");
	refuse(d, path, dir, 0, -EINVAL, "0 seconds");
	refuse(d, path, "/nonexistent", 1, -ENOENT, "No such file or directory");
	ok(access(path, F_OK) != 0, "no file after a failure");
	unsetenv("HOME");
	unsetenv("XDG_CACHE_HOME");
	refuse(d, NULL, dir, 1, -ENOENT, "neither XDG_CACHE_HOME nor HOME");
	decant_close(d);
}

/* The first line of the file, and how many rows follow. */
static unsigned rows_of(const char *name)
{
	FILE *f = fopen(name, "r");
	char line[256];
	unsigned rows = 0;

	need(f && fgets(line, sizeof(line), f), "%s", name);
	is_str(line, "decant-cost 1\n", "it says what it is");
	while (fgets(line, sizeof(line), f))
		rows += line[0] != '#';
	fclose(f);
	return rows;
}

static void test_calibrate(void)
{
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	unsigned fds = entries("/proc/self/fd");
	struct decant *d = opened("");
	struct stat st;
	char from[4096] = "x", to[4096];
	FILE *f;

	is_int(decant_calibrate(d, path, dir, 1), 0, "calibrate: %s", decant_strerror(d));
	is_int(entries(dir), 3, "no scratch file is left, only the costs");
	ok(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600, "which are the user's");
	ok(rows_of(path) > 20, "with many rows");
	t.from = decant_memory(from, sizeof(from));
	t.to = decant_memory(to, sizeof(to));
	is_int(decant_move(d, &t, NULL), 4096, "the engine goes on");
	decant_close(d);
	is_int(entries("/proc/self/fd"), fds, "no descriptor is left open");

	d = opened(path);
	is_str(lines, "", "an engine takes the file without complaint");
	decant_close(d);
	f = fopen(path, "w");
	need(f && fputs("decant-cost 1\nnonsense\n", f) > 0 && fclose(f) == 0, "%s", path);
	d = opened(path);
	ok(strstr(lines, "line 2"), "control: it would complain: %s", lines);
	is_int(decant_move(d, &t, NULL), 4096, "and use the shipped costs");
	decant_close(d);
	unlink(path);
}

int main(void)
{
	tap_case_seconds = 60;
	need(mkdtemp(dir), "directory");
	snprintf(path, sizeof(path), "%s/cost", dir);
	tap_case("what cannot be calibrated", test_refusals);
	tap_case("a second of calibration", test_calibrate);
	is_int(rmdir(dir), 0, "nothing else is left");
	return done();
}
