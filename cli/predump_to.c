/* SPDX-License-Identifier: MIT */
#include "predump_to.h"

#include <errno.h>
#include <string.h>

#include "net.h"

#define PREDUMP_TO_CONNECT_MS 30000

static int predump_to_spec(const struct predump_options *o, struct end_spec *ret, struct err *e)
{
	int r = end_spec_parse(o->to, true, ret, e);

	if (r < 0)
		return err_wrap(e, r, "--to");
	if (ret->kind != END_SPEC_TCP && ret->kind != END_SPEC_UNIX)
		return err_set(e, -EINVAL, "--to: %.60s: is neither tcp:HOST:PORT nor unix:PATH",
			       o->to);
	return 0;
}

int predump_to_check(const struct predump_options *o, struct err *reterr)
{
	bool tls = o->tls_cert || o->tls_key || o->tls_ca || o->tls_name;
	struct end_spec spec;

	if (!o->to)
		return tls || o->header || o->insecure ?
		       err_set(reterr, -EINVAL, "--%s: goes with --to",
			       tls ? "tls-..." : o->header ? "header" : "insecure") : 0;
	if (o->stop || o->watch_ns)
		return err_set(reterr, -EINVAL, "--to: not for a process that is watched");
	if (predump_to_spec(o, &spec, reterr) < 0)
		return -EINVAL;
	if (tls && (!o->tls_cert || !o->tls_key || !o->tls_ca))
		return err_set(reterr, -EINVAL,
			       "--tls-cert, --tls-key, --tls-ca: TLS needs all three");
	if (tls && o->insecure)
		return err_set(reterr, -EINVAL, "--insecure: is for going without TLS");
	if (spec.kind == END_SPEC_TCP && !tls && !o->insecure &&
	    net_locality(spec.host) != NET_LOCAL)
		return err_set(reterr, -EINVAL, "--to: the memory of a process would go to %.60s "
			       "in plain: see --tls-cert, or --insecure", spec.host);
	return 0;
}

/* On the thread that makes the image. */
static int predump_to_connect(void *arg)
{
	struct predump_to *to = arg;
	struct err *e = &to->err;

	return to->spec.kind == END_SPEC_UNIX ? net_unix_connect(to->spec.path, &to->w, e) :
	       net_tcp_connect(to->spec.host, to->spec.port, &to->w, e);
}

int predump_to_open(struct predump_to *to, struct decant *d, const struct predump_options *o,
		    struct err *reterr)
{
	static const uint32_t headers[] = { 0, 24, 32 };
	struct decant_remote_options options = DECANT_REMOTE_OPTIONS_INIT;
	struct decant_tls tls = DECANT_TLS_INIT;
	int r;

	*to = (struct predump_to){
		.o = o, .w = { .signal_fd = -1, .timeout_ms = PREDUMP_TO_CONNECT_MS },
	};
	if (!o->to)
		return 0;
	r = predump_to_spec(o, &to->spec, reterr);
	if (r < 0)
		return r;
	tls.cert = o->tls_cert;
	tls.key = o->tls_key;
	tls.ca = o->tls_ca;
	/* Who said nothing means the host; a socket of this machine has none. */
	tls.name = o->tls_name ? o->tls_name : to->spec.host;
	if (!tls.name[0] || strcmp(tls.name, "-") == 0)
		tls.name = NULL;
	options.tls = o->tls_cert ? &tls : NULL;
	options.header_bytes = headers[o->header];
	options.connect = predump_to_connect;
	options.arg = to;
	r = decant_remote_open(d, &to->remote, &options);
	return r < 0 ? err_set(reterr, r, "%s", decant_strerror(d)) : 0;
}

void predump_to_close(struct predump_to *to)
{
	decant_remote_close(to->remote);
	to->remote = NULL;
}
