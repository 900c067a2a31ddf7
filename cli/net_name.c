/* SPDX-License-Identifier: MIT */
#include "net_name.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/*
 * Shared by the asker and the thread; whoever leaves last frees it.  An asker
 * who lost patience leaves the thread to itself: nothing can stop it.
 */
struct lookup {
	atomic_int users;
	int done_fd;
	char *host;
	char port[8];
	struct addrinfo hints;
	struct addrinfo *found;
	int error; /* getaddrinfo()'s */
};

static void lookup_leave(struct lookup *l)
{
	if (atomic_fetch_sub(&l->users, 1) != 1)
		return;
	if (l->found)
		freeaddrinfo(l->found);
	if (l->done_fd >= 0)
		(void)close(l->done_fd);
	free(l->host);
	free(l);
}

static void *lookup_run(void *arg)
{
	struct lookup *l = arg;

	l->error = getaddrinfo(l->host, l->port, &l->hints, &l->found);
	(void)eventfd_write(l->done_fd, 1);
	lookup_leave(l);
	return NULL;
}

static struct lookup *lookup_create(const char *host, const char *port,
				    const struct addrinfo *hints)
{
	struct lookup *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->hints = *hints;
	l->host = strdup(host);
	l->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	(void)snprintf(l->port, sizeof(l->port), "%s", port);
	atomic_init(&l->users, 1);
	if (!l->host || l->done_fd < 0) {
		lookup_leave(l);
		return NULL;
	}
	return l;
}

static int lookup_start(struct lookup *l)
{
	pthread_attr_t attr;
	pthread_t thread;
	int error;

	error = pthread_attr_init(&attr);
	if (error)
		return -error;
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	atomic_fetch_add(&l->users, 1);
	error = pthread_create(&thread, &attr, lookup_run, l);
	if (error)
		atomic_fetch_sub(&l->users, 1);
	(void)pthread_attr_destroy(&attr);
	return -error;
}

static int net_name_failed(const char *host, int error, struct err *reterr)
{
	if (error == EAI_MEMORY)
		return err_set(reterr, -ENOMEM, "%s: out of memory", host);
	return err_set(reterr, -EHOSTDOWN, "%s: no address: %s", host, gai_strerror(error));
}

int net_name_resolve(struct addrinfo **ret, const char *host, uint16_t port, bool passive,
		     struct waiter *w, struct err *reterr)
{
	struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0),
	};
	struct addrinfo numeric = hints;
	struct lookup *l;
	char digits[8];
	int r;

	(void)snprintf(digits, sizeof(digits), "%u", port);
	numeric.ai_flags |= AI_NUMERICHOST;
	if (getaddrinfo(host, digits, &numeric, ret) == 0)
		return 0;
	l = lookup_create(host, digits, &hints);
	if (!l)
		return err_set(reterr, -ENOMEM, "%s: out of memory", host);
	r = lookup_start(l);
	if (r < 0)
		err_errno(reterr, r, "%s: a thread for the look-up", host);
	else
		r = waiter_fd(w, l->done_fd, POLLIN, waiter_deadline(w));
	if (r == -ETIMEDOUT)
		err_set(reterr, r, "%s: the name was not found in time", host);
	else if (r == -ECANCELED)
		err_set(reterr, r, "%s: interrupted", host);
	else if (r == 0 && l->error)
		r = net_name_failed(host, l->error, reterr);
	if (r == 0) {
		*ret = l->found;
		l->found = NULL;
	}
	lookup_leave(l);
	return r;
}
