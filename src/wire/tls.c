/* SPDX-License-Identifier: MIT */
#include "wire/tls.h"

#include <assert.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sys/load.h"
#include "sys/sys.h"

#define TLS_LIBRARY "libgnutls.so.30"
#define TLS_PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

/* ----------------------------------------------------------------- library */

#define TLS_FUNCTIONS(_)                                  \
	_(certificate_allocate_credentials)               \
	_(certificate_free_credentials)                   \
	_(certificate_server_set_request)                 \
	_(certificate_set_x509_crl_file)                  \
	_(certificate_set_x509_key_file)                  \
	_(certificate_set_x509_trust_file)                \
	_(certificate_verification_status_print)          \
	_(bye)                                            \
	_(credentials_set)                                \
	_(deinit)                                         \
	_(handshake)                                      \
	_(init)                                           \
	_(priority_set_direct)                            \
	_(record_get_direction)                           \
	_(record_recv)                                    \
	_(record_send)                                    \
	_(server_name_set)                                \
	_(session_get_verify_cert_status)                 \
	_(session_set_verify_cert)                        \
	_(strerror)                                       \
	_(transport_set_errno)                            \
	_(transport_set_ptr)                              \
	_(transport_set_pull_function)                    \
	_(transport_set_push_function)

#define TLS_POINTER(name) __typeof__(gnutls_##name) *name;
static struct {
	TLS_FUNCTIONS(TLS_POINTER)
	__typeof__(gnutls_free) *free;
} tls_lib;

static pthread_mutex_t tls_lock = PTHREAD_MUTEX_INITIALIZER;
static bool tls_loaded;

static int tls_load_all(void *library)
{
	int r = 0;

#define TLS_LOAD(name)                                                          \
	if (r == 0)                                                             \
		r = sys_dlsym((void **)&tls_lib.name, library, "gnutls_" #name);
	TLS_FUNCTIONS(TLS_LOAD)
	TLS_LOAD(free)
	return r;
}

static int tls_load(struct err *e)
{
	void *library;
	int r = 0;

	(void)pthread_mutex_lock(&tls_lock);
	if (!tls_loaded) {
		r = sys_dlopen(&library, TLS_LIBRARY);
		if (r == 0)
			r = tls_load_all(library);
		tls_loaded = r == 0;
	}
	(void)pthread_mutex_unlock(&tls_lock);
	return r < 0 ? err_set(e, -ENOTSUP, "TLS: GnuTLS (" TLS_LIBRARY ") cannot be loaded") : 0;
}

/* ------------------------------------------------------------- credentials */

struct tls {
	gnutls_certificate_credentials_t credentials;
	bool server;
	char *name;
};

static int tls_fail(struct err *e, int code, const char *what, int error)
{
	return err_set(e, code, "TLS: %s: %s", what, tls_lib.strerror(error));
}

static int tls_files(struct tls *t, const struct decant_tls *o, struct err *e)
{
	int r = tls_lib.certificate_set_x509_trust_file(t->credentials, o->ca,
							GNUTLS_X509_FMT_PEM);

	if (r == 0)
		return err_set(e, -EINVAL, "TLS: %s: has no certificate", o->ca);
	if (r < 0)
		return tls_fail(e, -EINVAL, o->ca, r);
	if (o->crl) {
		r = tls_lib.certificate_set_x509_crl_file(t->credentials, o->crl,
							  GNUTLS_X509_FMT_PEM);
		if (r < 0)
			return tls_fail(e, -EINVAL, o->crl, r);
	}
	r = tls_lib.certificate_set_x509_key_file(t->credentials, o->cert, o->key,
						  GNUTLS_X509_FMT_PEM);
	return r < 0 ? tls_fail(e, -EINVAL, o->cert, r) : 0;
}

int tls_open(struct tls **ret, const struct decant_tls *o, bool server, struct err *reterr)
{
	struct tls *t;
	int r;

	if (!o)
		return 0;
	if (o->size < sizeof(*o))
		return err_set(reterr, -EINVAL, "tls: size is not set (use DECANT_TLS_INIT)");
	if (!o->cert || !o->key || !o->ca)
		return err_set(reterr, -EINVAL, "TLS: needs a certificate, its key, and that of "
			       "the authority");
	r = tls_load(reterr);
	if (r < 0)
		return r;
	t = sys_calloc(1, sizeof(*t));
	if (!t)
		return err_set(reterr, -ENOMEM, "TLS: out of memory");
	t->server = server;
	if (!server && o->name && !(t->name = sys_strdup(o->name)))
		r = -ENOMEM;
	if (r == 0 && tls_lib.certificate_allocate_credentials(&t->credentials) < 0)
		r = -ENOMEM;
	r = r < 0 ? err_set(reterr, r, "TLS: out of memory") : tls_files(t, o, reterr);
	if (r < 0) {
		tls_close(t);
		return r;
	}
	*ret = t;
	return 0;
}

void tls_close(struct tls *t)
{
	if (!t)
		return;
	if (t->credentials)
		tls_lib.certificate_free_credentials(t->credentials);
	free(t->name);
	free(t);
}

/* ----------------------------------------------------------------- session */

struct tls_session {
	gnutls_session_t g;
	int fd;
};

static ssize_t tls_moved(struct tls_session *s, ssize_t n)
{
	if (n >= 0)
		return n;
	tls_lib.transport_set_errno(s->g, (int)-n);
	return -1;
}

static ssize_t tls_pull(gnutls_transport_ptr_t p, void *buf, size_t len)
{
	struct tls_session *s = p;

	return tls_moved(s, sys_recv(s->fd, buf, len, MSG_DONTWAIT));
}

static ssize_t tls_push(gnutls_transport_ptr_t p, const void *buf, size_t len)
{
	struct tls_session *s = p;

	return tls_moved(s, sys_send(s->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL));
}

static bool tls_is_address(const char *name)
{
	/* No host's name ends in a digit or has a colon. */
	for (const char *p = name; *p; p++)
		if (*p == ':' || (!p[1] && *p >= '0' && *p <= '9'))
			return true;
	return false;
}

int tls_session_open(struct tls_session **ret, struct tls *t, int fd, struct err *reterr)
{
	struct tls_session *s = sys_calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(reterr, -ENOMEM, "TLS: out of memory");
	s->fd = fd;
	r = tls_lib.init(&s->g, (t->server ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_NONBLOCK |
				GNUTLS_NO_SIGNAL);
	if (r == 0)
		r = tls_lib.priority_set_direct(s->g, TLS_PRIORITY, NULL);
	if (r == 0)
		r = tls_lib.credentials_set(s->g, GNUTLS_CRD_CERTIFICATE, t->credentials);
	if (r == 0 && t->name && !tls_is_address(t->name))
		r = tls_lib.server_name_set(s->g, GNUTLS_NAME_DNS, t->name, strlen(t->name));
	if (r < 0) {
		tls_session_close(s);
		return tls_fail(reterr, -ENOMEM, "beginning", r);
	}
	if (t->server)
		tls_lib.certificate_server_set_request(s->g, GNUTLS_CERT_REQUIRE);
	tls_lib.session_set_verify_cert(s->g, t->name, 0);
	tls_lib.transport_set_ptr(s->g, s);
	tls_lib.transport_set_pull_function(s->g, tls_pull);
	tls_lib.transport_set_push_function(s->g, tls_push);
	*ret = s;
	return 0;
}

void tls_session_close(struct tls_session *s)
{
	if (!s)
		return;
	if (s->g)
		tls_lib.deinit(s->g);
	free(s);
}

/* ------------------------------------------------------------------ moving */

static int tls_wait(struct tls_session *s, short *ret_events)
{
	*ret_events = tls_lib.record_get_direction(s->g) ? POLLOUT : POLLIN;
	return -EAGAIN;
}

static bool tls_again(int r)
{
	/* A warning, a new session ticket, a request for new keys: nothing for us. */
	return r == GNUTLS_E_INTERRUPTED || r == GNUTLS_E_WARNING_ALERT_RECEIVED ||
	       r == GNUTLS_E_GOT_APPLICATION_DATA;
}

static int tls_refused(struct tls_session *s, struct err *e, int error)
{
	unsigned status = tls_lib.session_get_verify_cert_status(s->g);
	gnutls_datum_t text = { NULL, 0 };
	size_t len;
	int r;

	if (error != GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR || !status ||
	    tls_lib.certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) < 0)
		return tls_fail(e, -EKEYREJECTED, "the peer's certificate", error);
	/* Sentences, each with a blank behind it. */
	for (len = strlen((const char *)text.data); len && text.data[len - 1] == ' '; len--)
		;
	r = err_set(e, -EKEYREJECTED, "TLS: %.*s", (int)len, (const char *)text.data);
	(*tls_lib.free)(text.data);
	return r;
}

int tls_handshake(struct tls_session *s, short *ret_events, struct err *reterr)
{
	for (;;) {
		int r = tls_lib.handshake(s->g);

		if (r == 0)
			return 0;
		if (r == GNUTLS_E_AGAIN)
			return tls_wait(s, ret_events);
		if (r == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR ||
		    r == GNUTLS_E_CERTIFICATE_ERROR || r == GNUTLS_E_NO_CERTIFICATE_FOUND ||
		    r == GNUTLS_E_CERTIFICATE_REQUIRED)
			return tls_refused(s, reterr, r);
		if (!tls_again(r))
			return tls_fail(reterr, -EPROTO, "beginning", r);
	}
}

ssize_t tls_recv(struct tls_session *s, void *buf, size_t len, short *ret_events,
		 struct err *reterr)
{
	for (;;) {
		ssize_t n = tls_lib.record_recv(s->g, buf, len);

		if (n >= 0)
			return n;
		if (n == GNUTLS_E_AGAIN)
			return tls_wait(s, ret_events);
		if (n == GNUTLS_E_PREMATURE_TERMINATION)
			return err_set(reterr, -ECONNRESET, "the connection was cut");
		if (!tls_again((int)n))
			return tls_fail(reterr, -ECONNRESET, "receiving", (int)n);
	}
}

ssize_t tls_send(struct tls_session *s, const void *buf, size_t len, short *ret_events,
		 struct err *reterr)
{
	for (;;) {
		ssize_t n = tls_lib.record_send(s->g, buf, len);

		if (n >= 0)
			return n;
		if (n == GNUTLS_E_AGAIN)
			return tls_wait(s, ret_events);
		if (!tls_again((int)n))
			return tls_fail(reterr, -ECONNRESET, "sending", (int)n);
	}
}

int tls_end(struct tls_session *s, short *ret_events, struct err *reterr)
{
	for (;;) {
		int r = tls_lib.bye(s->g, GNUTLS_SHUT_WR);

		if (r == GNUTLS_E_AGAIN)
			return tls_wait(s, ret_events);
		if (!tls_again(r))
			return r < 0 ? tls_fail(reterr, -ECONNRESET, "ending", r) : 0;
	}
}
