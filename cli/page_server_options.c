/* SPDX-License-Identifier: MIT */
#include "page_server_options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "end_spec.h"

#define PAGE_SERVER_CONNECTIONS_MAX 256

#define AT(member) OPTION_AT(page_server_options, member)

const struct option_row page_server_option_rows[] = {
	{ 'D', "dir", "DIR", false, OPTION_TEXT, AT(dir), NULL, 0,
	  "where the images go" },
	{ 'l', "listen", "ADDRESS", false, OPTION_TEXT, AT(listen), NULL, 0,
	  "where to listen, as HOST:PORT, or :PORT on loopback (default: there, at any port)" },
	{ 0, "parent", "DIR", false, OPTION_TEXT, AT(parent), NULL, 0,
	  "the images before these: what did not change since is not sent" },
	{ 0, "chain", NULL, false, OPTION_FLAG, AT(chain), NULL, 0,
	  "one image after the other in DIR/1, DIR/2, ...: a process that is brought again "
	  "begins a new one" },
	{ 0, "tls-cert", "FILE", false, OPTION_TEXT, AT(tls_cert), NULL, 0,
	  "speak TLS, with this certificate (PEM); needs --tls-key and --tls-ca" },
	{ 0, "tls-key", "FILE", false, OPTION_TEXT, AT(tls_key), NULL, 0,
	  "its key" },
	{ 0, "tls-ca", "FILE", false, OPTION_TEXT, AT(tls_ca), NULL, 0,
	  "who signs the certificates of clients: those without one are refused" },
	{ 0, "tls-crl", "FILE", false, OPTION_TEXT, AT(tls_crl), NULL, 0,
	  "certificates that are not valid any more" },
	{ 0, "insecure", NULL, false, OPTION_FLAG, AT(insecure), NULL, 0,
	  "listen on other addresses than loopback without TLS: whoever reaches them may "
	  "write images" },
	{ '1', "once", NULL, false, OPTION_FLAG, AT(once), NULL, 0,
	  "end after one connection" },
	{ 'c', "max-connections", "N", false, OPTION_NUMBER, AT(connections), NULL, 0,
	  "refuse more than so many at once (default 64, at most 256)" },
	{ 't', "timeout", "DURATION", false, OPTION_TIME, AT(timeout_ns), NULL, 0,
	  "break off a connection that is silent for so long (default 60s)" },
	{ 0, "limit", "SIZE", false, OPTION_SIZE, AT(limit_bytes), NULL, 0,
	  "store at most so many bytes of one connection (default: what the disk has)" },
	{ 0, "clean", NULL, false, OPTION_FLAG, AT(clean), NULL, 0,
	  "remove what a killed run left there; complete images stay" },
	{ 0, "sync", NULL, false, OPTION_FLAG, AT(sync), NULL, 0,
	  "tell a client that it is done when its image is on the disk" },
	{ 0, "discard", NULL, false, OPTION_FLAG, AT(discard), NULL, 0,
	  "throw the pages away, to measure the way there" },
	OPTION_ROW_MASK,
	{ 0, "json", NULL, false, OPTION_FLAG, AT(json), NULL, 0,
	  "print a line of JSON for each connection" },
	OPTION_ROW_QUIET,
	{ 'v', "verbose", NULL, false, OPTION_FLAG, AT(verbose), NULL, 0,
	  "tell of connections that brought nothing, too" },
	OPTION_ROW_HELP,
};

const size_t page_server_option_rows_n =
	sizeof(page_server_option_rows) / sizeof(page_server_option_rows[0]);

/* "HOST:PORT", ":PORT", or a port alone. */
static int page_server_listen(struct page_server_options *o, struct err *e)
{
	const char *given = o->listen ? o->listen : ":0";
	char text[PAGE_SERVER_HOST_MAX + 32];
	struct end_spec spec;
	int r;

	r = snprintf(text, sizeof(text), "tcp-listen:%s%s",
		     given[strspn(given, "0123456789")] ? "" : ":", given);
	if (r < 0 || (size_t)r >= sizeof(text))
		return err_set(e, -EINVAL, "--listen: %.40s...: is too long", given);
	if (end_spec_parse(text, true, &spec, e) < 0)
		return err_set(e, -EINVAL, "--listen: %.60s: is not HOST:PORT", given);
	memcpy(o->host, spec.host, strlen(spec.host) + 1);
	o->port = spec.port;
	return 0;
}

static int page_server_check(const struct page_server_options *o, struct err *e)
{
	bool tls = o->tls_cert || o->tls_key || o->tls_ca || o->tls_crl;

	if (o->discard && (o->dir || o->parent || o->chain || o->clean || o->sync))
		return err_set(e, -EINVAL, "--discard: there is no directory then");
	if (!o->discard && (!o->dir || !o->dir[0]))
		return err_set(e, -EINVAL, "--dir: where do the images go?");
	if (tls && (!o->tls_cert || !o->tls_key || !o->tls_ca))
		return err_set(e, -EINVAL, "--tls-cert, --tls-key, --tls-ca: TLS needs all three");
	if (tls && o->insecure)
		return err_set(e, -EINVAL, "--insecure: is for running without TLS");
	if (o->connections > PAGE_SERVER_CONNECTIONS_MAX)
		return err_set(e, -EINVAL, "--max-connections: more than %d",
			       PAGE_SERVER_CONNECTIONS_MAX);
	if (o->chain && o->parent)
		return err_set(e, -EINVAL, "--chain: its images are each other's parents; "
			       "--parent is not for that");
	if (o->quiet && (o->verbose || o->json))
		return err_set(e, -EINVAL, "--quiet and --%s: say one of them",
			       o->json ? "json" : "verbose");
	return 0;
}

int page_server_options_parse(struct page_server_options *ret, int argc, char *const *argv,
			      struct err *reterr)
{
	struct page_server_options o = { .dir = NULL };
	const char *operand[1] = { NULL };
	int r = options_parse(page_server_option_rows, page_server_option_rows_n, argc, argv, &o,
			      operand, 0, reterr);

	if (r < 0)
		return r;
	if (!o.help) {
		r = page_server_listen(&o, reterr);
		if (r == 0)
			r = page_server_check(&o, reterr);
	}
	if (r < 0)
		return r;
	*ret = o;
	return 0;
}

void page_server_options_library(const struct page_server_options *o, struct decant_tls *tls,
				 struct decant_page_server_options *ret)
{
	*ret = (struct decant_page_server_options)DECANT_PAGE_SERVER_OPTIONS_INIT;
	*tls = (struct decant_tls)DECANT_TLS_INIT;
	tls->cert = o->tls_cert;
	tls->key = o->tls_key;
	tls->ca = o->tls_ca;
	tls->crl = o->tls_crl;
	ret->flags = (o->once ? DECANT_PAGE_SERVER_ONCE : 0u) |
		     (o->chain ? DECANT_PAGE_SERVER_CHAIN : 0u) |
		     (o->clean ? DECANT_PAGE_SERVER_CLEAN : 0u) |
		     (o->sync ? DECANT_PAGE_SERVER_SYNC : 0u) |
		     (o->discard ? DECANT_PAGE_SERVER_DISCARD : 0u);
	ret->parent = o->parent;
	ret->tls = o->tls_cert ? tls : NULL;
	ret->connections_max = o->connections;
	ret->patience_ns = o->timeout_ns;
	ret->limit_bytes = o->limit_bytes;
}

void page_server_options_help(void)
{
	(void)printf("Usage: decant page-server -D DIR [OPTION]...\n\n"
		     "Take memory images over the network, as CRIU's page server does: from\n"
		     "`criu dump`, `criu pre-dump` and `decant predump`, from many at once.\n\n"
		     "Options:\n");
	options_help(stdout, page_server_option_rows, page_server_option_rows_n);
	(void)printf("\nSee decant-page-server(1).\n");
}
