/* SPDX-License-Identifier: MIT */
#include "copy_options.h"

#include <errno.h>
#include <string.h>



static const char *const copy_checksums[] = { "none", "xxh3", "sha256", NULL };
static const char *const copy_untils[] = { "delivered", "sent", NULL };
static const char *const copy_backends[] = { "auto", "uring", "threads", NULL };

#define AT(member) OPTION_AT(copy_options, member)

const struct option_row copy_option_rows[] = {
	{ 0, "live", NULL, false, OPTION_FLAG, AT(live), NULL, 0,
	  "allow zero-copy routes that show later changes of the source to the receiver" },
	{ 0, "route", "NAME", false, OPTION_TEXT, AT(route), NULL, 0,
	  "take this route or fail with the reason; `help` lists them" },
	{ 'o', "offset", "SIZE", false, OPTION_SIZE, AT(offset), NULL, 0,
	  "start there in the source" },
	{ 'n', "length", "SIZE", false, OPTION_SIZE, AT(length), NULL, 0,
	  "move exactly so much; fewer is an error" },
	{ 0, "to-offset", "SIZE", false, OPTION_SIZE, AT(to_offset), NULL, 0,
	  "write there in the sink, in place" },
	{ 0, "direct", NULL, false, OPTION_FLAG, AT(direct), NULL, 0,
	  "past the page cache, or fail with the reason" },
	{ 0, "sync", NULL, false, OPTION_FLAG, AT(sync), NULL, 0,
	  "delivered means durable" },
	{ 0, "limit-rate", "RATE", false, OPTION_RATE, AT(rate_bytes), NULL, 0,
	  "move at most so many bytes a second, such as 10M" },
	{ 0, "checksum", "KIND", true, OPTION_CHOICE, AT(checksum), copy_checksums,
	  DECANT_CHECKSUM_XXH3, "print the checksum of the bytes moved: xxh3 (default) or sha256" },
	{ 0, "verify", NULL, false, OPTION_FLAG, AT(verify), NULL, 0,
	  "check that a mem: sink received the pattern of mem:" },
	{ 0, "until", "MOMENT", false, OPTION_CHOICE, AT(until), copy_untils, 0,
	  "end when everything is delivered (default), or only sent" },
	{ 't', "timeout", "DURATION", false, OPTION_DURATION, AT(timeout_ms), NULL, 0,
	  "give up when nothing happens for so long: 500ms, 10s, 2m" },
	{ 'f', "force", NULL, false, OPTION_FLAG, AT(force), NULL, 0,
	  "replace a file that exists; write to a device that is in use" },
	{ 0, "in-place", NULL, false, OPTION_FLAG, AT(in_place), NULL, 0,
	  "write into the file that exists instead of replacing it when complete" },
	{ 0, "partial", NULL, false, OPTION_FLAG, AT(partial), NULL, 0,
	  "keep an unfinished file as NAME.partial" },
	{ 0, "mode", "MODE", false, OPTION_MODE, AT(mode), NULL, 0,
	  "permissions of a new file: octal, or `keep` those of the source whatever the umask" },
	{ 0, "workers", "N", false, OPTION_NUMBER, AT(workers), NULL, COPY_WORKERS_MAX,
	  "threads that copy" },
	{ 0, "backend", "NAME", false, OPTION_CHOICE, AT(backend), copy_backends, 0,
	  "auto, uring or threads" },
	OPTION_ROW_MASK,
	OPTION_ROW_PROGRESS,
	{ 0, "events", "FD", false, OPTION_FD, AT(events_fd), NULL, 0,
	  "write each event as a line of JSON, when it happens" },
	OPTION_ROW_JSON,
	OPTION_ROW_QUIET,
	{ 'v', "verbose", NULL, false, OPTION_FLAG, AT(verbose), NULL, 0,
	  "tell the route, the moments and the speed" },
	OPTION_ROW_HELP,
};

const size_t copy_option_rows_n = sizeof(copy_option_rows) / sizeof(copy_option_rows[0]);

static bool copy_is_seekable_kind(const struct end_spec *spec)
{
	return spec->kind == END_SPEC_PATH || spec->kind == END_SPEC_FD ||
	       spec->kind == END_SPEC_STANDARD;
}

static int copy_check_source(const struct copy_options *o, struct err *e)
{
	const struct end_spec *from = &o->from;
	uint64_t offset = o->offset == COPY_NOT_SAID ? 0 : o->offset;

	if (offset && !copy_is_seekable_kind(from) && from->kind != END_SPEC_MEMORY)
		return err_set(e, -EINVAL, "--offset: %.40s has no offsets", from->text);
	if (o->length != COPY_NOT_SAID && offset > INT64_MAX - o->length)
		return err_set(e, -EINVAL, "--offset and --length: their sum is too large");
	if (from->kind == END_SPEC_ZERO && from->size_bytes == END_SPEC_NO_SIZE &&
	    o->length == COPY_NOT_SAID)
		return err_set(e, -EINVAL, "zero: never ends; say zero:SIZE or --length");
	if (from->kind == END_SPEC_ZERO && o->length != COPY_NOT_SAID &&
	    from->size_bytes < o->length)
		return err_set(e, -EINVAL, "--length: %.40s gives less", from->text);
	if (from->kind == END_SPEC_MEMORY && offset > from->size_bytes)
		return err_set(e, -EINVAL, "--offset: %.40s has less", from->text);
	return 0;
}

static int copy_check_sink(const struct copy_options *o, struct err *e)
{
	const struct end_spec *to = &o->to;
	bool path = to->kind == END_SPEC_PATH;

	if (o->to_offset != COPY_NOT_SAID && !copy_is_seekable_kind(to))
		return err_set(e, -EINVAL, "--to-offset: %.40s has no offsets", to->text);
	if (!path && (o->in_place || o->partial || o->mode != COPY_MODE_DEFAULT))
		return err_set(e, -EINVAL, "--%s: only for a file as the sink",
			       o->in_place ? "in-place" : o->partial ? "partial" : "mode");
	if (!path && o->force)
		return err_set(e, -EINVAL, "--force: only for a file or a device as the sink");
	if (o->partial && (o->in_place || o->to_offset != COPY_NOT_SAID))
		return err_set(e, -EINVAL, "--partial: what is written in place stays anyway");
	if (o->verify && to->kind != END_SPEC_MEMORY)
		return err_set(e, -EINVAL, "--verify: only for mem: as the sink");
	if (o->from.kind == END_SPEC_FD && to->kind == END_SPEC_FD && o->from.fd == to->fd)
		return err_set(e, -EINVAL, "%.40s: cannot be source and sink", to->text);
	return 0;
}

static int copy_check_output(const struct copy_options *o, struct err *e)
{
	int sink_fd = o->to.kind == END_SPEC_STANDARD || o->to.kind == END_SPEC_FD ? o->to.fd : -1;

	if (o->quiet && o->verbose)
		return err_set(e, -EINVAL, "--quiet and --verbose: say one of them");
	if (sink_fd >= 0 && o->events_fd == sink_fd)
		return err_set(e, -EINVAL, "--events: descriptor %d is the sink", sink_fd);
	if (sink_fd >= 0 && o->progress_fd == sink_fd)
		return err_set(e, -EINVAL, "--progress: descriptor %d is the sink", sink_fd);
	return 0;
}

static int copy_check_route(const struct copy_options *o, struct err *e)
{
	const char *const *names = decant_routes();

	if (!o->route || strcmp(o->route, "help") == 0)
		return 0;
	for (size_t i = 0; names[i]; i++)
		if (strcmp(names[i], o->route) == 0)
			return 0;
	return err_set(e, -EINVAL, "--route: no route is called '%.40s'; --route help lists them",
		       o->route);
}

int copy_options_parse(struct copy_options *ret, int argc, char *const *argv, struct err *reterr)
{
	struct copy_options o = {
		.offset = COPY_NOT_SAID, .length = COPY_NOT_SAID, .to_offset = COPY_NOT_SAID,
		.mode = COPY_MODE_DEFAULT, .progress_fd = -1, .events_fd = -1,
	};
	const char *operands[2];
	int n, r;

	n = options_parse(copy_option_rows, copy_option_rows_n, argc, argv, &o, operands, 2,
			  reterr);
	if (n < 0)
		return n;
	if (o.help || (o.route && strcmp(o.route, "help") == 0)) {
		*ret = o;
		return 0;
	}
	if (n < 2)
		return err_set(reterr, -EINVAL, n ? "TO is missing" : "FROM and TO are missing");
	r = end_spec_parse(operands[0], false, &o.from, reterr);
	if (r == 0)
		r = end_spec_parse(operands[1], true, &o.to, reterr);
	if (r == 0)
		r = copy_check_source(&o, reterr);
	if (r == 0)
		r = copy_check_sink(&o, reterr);
	if (r == 0)
		r = copy_check_output(&o, reterr);
	if (r == 0)
		r = copy_check_route(&o, reterr);
	if (r == 0)
		*ret = o;
	return r;
}

void copy_options_transfer(const struct copy_options *o, struct decant_transfer *ret)
{
	*ret = (struct decant_transfer)DECANT_TRANSFER_INIT;
	if (o->length != COPY_NOT_SAID)
		ret->len = o->length;
	else if (o->from.kind == END_SPEC_ZERO)
		ret->len = o->from.size_bytes;
	ret->flags = (o->direct ? DECANT_DIRECT : 0) | (o->sync ? DECANT_SYNC : 0);
	ret->guarantee = o->live ? DECANT_LIVE : DECANT_STABLE;
	ret->until = o->until;
	ret->route = o->route;
	ret->rate_bytes = o->rate_bytes;
	ret->stall_ms = o->timeout_ms;
	ret->checksum = o->checksum;
}

void copy_options_routes(void)
{
	const char *const *names = decant_routes();

	for (size_t i = 0; names[i]; i++)
		(void)printf("%s\n", names[i]);
}

void copy_options_help(const char *command, const char *what)
{
	(void)printf("Usage: decant %s [OPTION]... FROM TO\n\n%s\n\n"
		     "Ends: a path, - (standard input or output), fd:N, tcp:HOST:PORT,\n"
		     "tcp-listen:[ADDR]:PORT, unix:PATH, unix-listen:PATH, mem:SIZE, null:,\n"
		     "zero:[SIZE], file:PATH.  Sizes take K M G T (1024) and KB MB GB TB "
		     "(1000).\n\n"
		     "Options:\n", command, what);
	options_help(stdout, copy_option_rows, copy_option_rows_n);
	(void)printf("\nSee decant-%s(1) and decant(7).\n", command);
}
