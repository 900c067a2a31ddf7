/* SPDX-License-Identifier: MIT */
/* The public functions: argument checks, and the way down. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "api/api.h"
#include "sys/sys.h"

#define API_WORKERS_MAX 64
#define API_WORKERS_DEFAULT_MAX 16
#define API_MEMORY_DEFAULT (64ull << 20)
#define API_PINNED_DEFAULT (256ull << 20)
#define API_TRANSFERS_DEFAULT 16384

#define API_STR_(x) #x
#define API_STR(x) API_STR_(x)

const char *decant_version(void)
{
	return API_STR(DECANT_VERSION_MAJOR) "." API_STR(DECANT_VERSION_MINOR) "." API_STR(
		DECANT_VERSION_PATCH);
}

/* A failed decant_open() has no engine to ask for the sentence. */
static __thread struct err api_open_err;

static int api_open_caps(struct decant *d, const char *mask, struct err *reterr)
{
	_cleanup_free_ char *both = NULL;
	const char *env = secure_getenv("DECANT_MASK");
	size_t len;

	mask = mask ? mask : "";
	env = env ? env : "";
	len = strlen(mask) + strlen(env) + 2;
	both = sys_malloc(len);
	if (!both)
		return err_set(reterr, -ENOMEM, "engine: no memory");
	(void)snprintf(both, len, "%s%s%s", env, *env && *mask ? "," : "", mask);
	return caps_create(&d->caps, both, reterr);
}

static void api_open_costs(struct decant *d, const char *file)
{
	char path[COST_PATH_MAX];
	struct err note = { "" }, err = { "" };

	cost_init(&d->costs, route_table, route_table_n);
	if (file && !*file)
		return;
	if (!file && cost_path(path, NULL) == 0)
		file = path;
	/* Costs only choose between routes that all keep what they promise: a
	 * file that cannot be used is no reason to fail. */
	if (file && cost_load(&d->costs, file, &note, &err) < 0 && err.text[0])
		engine_debug(d->engine, "costs: %s: %s; using the shipped ones", file, err.text);
}

static struct engine_config api_config(struct decant *d, const struct decant_options *o)
{
	struct engine_config c = {
		.caps = d->caps,
		.backend = o->backend,
		.workers = o->workers,
		.transfers_max = o->transfers_max ? o->transfers_max : API_TRANSFERS_DEFAULT,
		.memory_max_bytes = o->memory_max_bytes ? o->memory_max_bytes : API_MEMORY_DEFAULT,
		.pinned_max_bytes = o->pinned_max_bytes,
		.debug = o->debug,
		.debug_arg = o->debug_arg,
		.replan = api_replan,
		.replan_arg = d,
	};
	struct rlimit lim;

	if (c.workers == 0) {
		c.workers = sys_cpus();
		if (c.workers < 2)
			c.workers = 2;
		if (c.workers > API_WORKERS_DEFAULT_MAX)
			c.workers = API_WORKERS_DEFAULT_MAX;
	}
	if (c.pinned_max_bytes == 0) {
		c.pinned_max_bytes = API_PINNED_DEFAULT;
		if (sys_getrlimit(RLIMIT_MEMLOCK, &lim) == 0 && lim.rlim_cur != RLIM_INFINITY &&
		    lim.rlim_cur / 4 * 3 < c.pinned_max_bytes)
			c.pinned_max_bytes = lim.rlim_cur / 4 * 3;
	}
	return c;
}

int decant_open(struct decant **ret, const struct decant_options *options)
{
	static const struct decant_options none = DECANT_OPTIONS_INIT;
	struct err *err = &api_open_err;
	struct engine_config config;
	struct decant *d;
	int r;

	if (!options)
		options = &none;
	if (!ret || options->size < sizeof(none))
		return err_set(err, -EINVAL, "options: size is not set (use DECANT_OPTIONS_INIT)");
	if (options->backend > DECANT_BACKEND_THREADS || options->workers > API_WORKERS_MAX)
		return err_set(err, -EINVAL, "options: unknown backend, or more than %d workers",
			       API_WORKERS_MAX);
	d = sys_calloc(1, sizeof(*d));
	if (!d)
		return err_set(err, -ENOMEM, "engine: no memory");
	r = api_open_caps(d, options->mask, err);
	if (r == 0) {
		config = api_config(d, options);
		r = engine_create(&d->engine, &config, err);
	}
	if (r < 0) {
		decant_close(d);
		return r;
	}
	api_open_costs(d, options->cost_file);
	*ret = d;
	return 0;
}

void decant_close(struct decant *d)
{
	if (!d)
		return;
	engine_destroy(d->engine);
	caps_destroy(d->caps);
	free(d);
}

const char *decant_strerror(const struct decant *d)
{
	const struct err *err = d ? &d->err : &api_open_err;

	return err->text[0] ? err->text : "no error";
}

/* A job for t, ready to be submitted. */
static int api_job(struct decant *d, const struct decant_transfer *t, struct job **ret,
		   bool *ret_inline)
{
	struct api_request r;
	struct job *j;
	int ret_code;

	ret_code = api_prepare(d, t, &r, NULL, &d->err);
	if (ret_code < 0)
		return ret_code;
	j = engine_job_create(d->engine);
	if (!j)
		return err_set(&d->err, -ENOMEM, "submit: no memory");
	j->ops = &r.route->ops;
	j->from = r.from;
	j->to = r.to;
	j->len = r.len;
	j->len_exact = r.len_exact;
	j->flags = t->flags;
	j->asked = t->guarantee;
	j->guarantee = r.guarantee;
	j->copies = r.copies;
	j->until = t->until;
	j->rate_bytes = t->rate_bytes;
	j->stall_ms = t->stall_ms;
	j->checksum = t->checksum;
	j->user_data = t->user_data;
	j->q->forced = t->route != NULL;
	*ret_inline = r.route->inline_small && r.len <= ENGINE_INLINE_MAX_BYTES &&
		      (r.to.kind == DECANT_END_SOCKET || r.to.kind == DECANT_END_PIPE) &&
		      (r.from.kind == DECANT_END_FILE || r.from.kind == DECANT_END_MEMORY);
	*ret = j;
	return 0;
}

int64_t decant_submit(struct decant *d, const struct decant_transfer *t)
{
	bool try_inline;
	struct job *j;
	int64_t r;

	if (!d)
		return -EINVAL;
	r = api_job(d, t, &j, &try_inline);
	if (r < 0)
		return r;
	r = engine_submit(d->engine, j, try_inline, &d->err);
	if (r < 0)
		engine_job_free(d->engine, j);
	return r;
}

int64_t decant_move(struct decant *d, const struct decant_transfer *t, struct decant_event *ret_end)
{
	bool try_inline, entered;
	struct job *j;
	int64_t r;

	if (!d)
		return -EINVAL;
	r = api_job(d, t, &j, &try_inline);
	if (r >= 0) {
		r = engine_move(d->engine, j, ret_end, &entered, &d->err);
		if (entered)
			return r;
		engine_job_free(d->engine, j);
	}
	if (ret_end) {
		*ret_end = (struct decant_event){ .type = DECANT_ENDED, .error = (int32_t)r };
		if (t)
			ret_end->user_data = t->user_data;
		memcpy(ret_end->message, d->err.text, sizeof(ret_end->message));
	}
	return r;
}

int decant_wait(struct decant *d, struct decant_event *events, unsigned n, int timeout_ms)
{
	if (!d || (n && !events))
		return -EINVAL;
	return engine_wait(d->engine, events, n, timeout_ms);
}

int decant_event_fd(struct decant *d)
{
	int fd;

	if (!d)
		return -EINVAL;
	fd = engine_event_fd(d->engine);
	return fd < 0 ? err_errno(&d->err, fd, "event descriptor") : fd;
}

int decant_cancel(struct decant *d, uint64_t id)
{
	if (!d)
		return -EINVAL;
	if (engine_cancel(d->engine, id) < 0)
		return err_set(&d->err, -ENOENT, "cancel: no transfer %llu is in flight",
			       (unsigned long long)id);
	return 0;
}

int decant_plan(struct decant *d, const struct decant_transfer *t, struct decant_plan *ret)
{
	struct api_request r;

	if (!d)
		return -EINVAL;
	if (!ret || ret->size < sizeof(*ret))
		return err_set(&d->err, -EINVAL, "plan: size is not set (use DECANT_PLAN_INIT)");
	return api_prepare(d, t, &r, ret, &d->err);
}

int decant_facts(struct decant *d, struct decant_fact *facts, unsigned n)
{
	unsigned count = FACT_MAX - 1;

	if (!d || (n && !facts))
		return -EINVAL;
	for (unsigned i = 0; i < n && i < count; i++) {
		enum fact f = (enum fact)(i + 1);
		struct decant_fact *to = &facts[i];

		memset(to, 0, sizeof(*to));
		(void)snprintf(to->name, sizeof(to->name), "%s", caps_name(f));
		(void)snprintf(to->what, sizeof(to->what), "%s", caps_what(f));
		to->state = caps_state(d->caps, f);
		to->value = caps_value(d->caps, f);
		to->masked = caps_masked(d->caps, f);
		(void)snprintf(to->why, sizeof(to->why), "%s", caps_why(d->caps, f));
	}
	return (int)count;
}

static const char *api_names[DECANT_ROUTES_MAX + 1];
static pthread_once_t api_names_once = PTHREAD_ONCE_INIT;

/* Routes for different pairs of ends may carry one name. */
static void api_names_fill(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < route_table_n && n < DECANT_ROUTES_MAX; i++) {
		bool again = false;

		for (unsigned k = 0; k < n; k++)
			again = again || strcmp(api_names[k], route_table[i]->ops.name) == 0;
		if (!again)
			api_names[n++] = route_table[i]->ops.name;
	}
}

const char *const *decant_routes(void)
{
	(void)pthread_once(&api_names_once, api_names_fill);
	return api_names;
}
