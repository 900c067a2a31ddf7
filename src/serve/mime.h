/* SPDX-License-Identifier: MIT */
/*
 * Media types by the ends of names.  Not by content: a file is what its name
 * says.  Pure; the texts come from whoever reads files.
 */
#ifndef SERVE_MIME_H
#define SERVE_MIME_H

#include <stddef.h>

struct mime;

/* With a few types that every page needs.  NULL: no memory. */
struct mime *mime_create(void);
void mime_destroy(struct mime *m);
/*
 * A table as in /etc/mime.types: "type/sub ext ext ...", # for comments; what comes
 * later wins.  Lines that are none are left out.  0, or -ENOMEM.
 */
int mime_read(struct mime *m, const char *text, size_t len);
/* For Content-Type; text gets a charset.  Never NULL. */
const char *mime_of(const struct mime *m, const char *name);

#endif
