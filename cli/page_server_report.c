/* SPDX-License-Identifier: MIT */
#include "page_server_report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "text.h"

#define PAGE_SERVER_PAGE 4096u

/* Programs that start it wait for the line: so it goes out at once. */
static void page_server_put(struct json *j)
{
	if (!j->buf.error)
		(void)fprintf(stdout, "%s\n", buf_str(&j->buf));
	(void)fflush(stdout);
	json_free(j);
}

void page_server_tell_listening(const struct page_server_options *o, const char *name)
{
	struct json j = JSON_INIT;

	if (o->json) {
		json_object(&j);
		json_member_string(&j, "listening", name);
		json_end(&j);
		page_server_put(&j);
	} else if (!o->quiet) {
		(void)fprintf(stderr, "listening on %s%s\n", name, o->tls_cert ? " (TLS)" : "");
	}
}

static void page_server_json(const struct decant_page_connection *c)
{
	struct json j = JSON_INIT;

	json_object(&j);
	json_member_u64(&j, "connection", c->number);
	json_member_string(&j, "peer", c->peer);
	json_member_bool(&j, "complete", !c->error);
	json_member_string(&j, "message", c->error ? c->message : NULL);
	if (c->image)
		json_member_u64(&j, "image", c->image);
	json_member_u64(&j, "header_bytes", c->header_bytes);
	json_member_u64(&j, "pagemaps", c->pagemaps);
	json_member_u64(&j, "present_pages", c->present_pages);
	json_member_u64(&j, "parent_pages", c->parent_pages);
	json_member_u64(&j, "bytes", c->bytes);
	json_member_u64(&j, "time_ns", c->time_ns);
	json_end(&j);
	page_server_put(&j);
}

void page_server_tell_connection(const struct page_server_options *o,
				 const struct decant_page_connection *c)
{
	char bytes[TEXT_NUMBER_MAX], took[TEXT_NUMBER_MAX], parent[TEXT_NUMBER_MAX];
	char image[32] = "";

	if (o->json) {
		page_server_json(c);
		return;
	}
	if (c->image)
		(void)snprintf(image, sizeof(image), " of image %u", c->image);
	if (c->error && (c->error != -ENODATA || o->verbose))
		(void)fprintf(stderr, "connection %" PRIu64 " from %s: nothing kept%s: %s\n",
			      c->number, c->peer[0] ? c->peer : "here", image, c->message);
	if (c->error || o->quiet)
		return;
	(void)fprintf(stderr, "connection %" PRIu64 " from %s: %u pagemap%s%s, %s in %s",
		      c->number, c->peer[0] ? c->peer : "here", c->pagemaps,
		      c->pagemaps == 1 ? "" : "s", image,
		      text_bytes(bytes, c->present_pages * PAGE_SERVER_PAGE),
		      text_duration(took, c->time_ns));
	if (c->parent_pages)
		(void)fprintf(stderr, ", %s as in the parent",
			      text_bytes(parent, c->parent_pages * PAGE_SERVER_PAGE));
	(void)fprintf(stderr, "\n");
}

void page_server_tell_end(const struct page_server_options *o,
			  const struct decant_page_server_report *r)
{
	char bytes[TEXT_NUMBER_MAX];
	struct json j = JSON_INIT;

	if (o->json) {
		json_object(&j);
		json_member_u64(&j, "connections", r->connections);
		json_member_u64(&j, "failed", r->failed);
		json_member_u64(&j, "refused", r->refused);
		json_member_u64(&j, "pagemaps", r->pagemaps);
		json_member_u64(&j, "present_pages", r->present_pages);
		json_member_u64(&j, "parent_pages", r->parent_pages);
		json_member_u64(&j, "bytes", r->bytes);
		json_end(&j);
		page_server_put(&j);
	} else if (!o->quiet && !o->once) {
		(void)fprintf(stderr, "%" PRIu64 " complete, %" PRIu64 " broken off, %" PRIu64
			      " refused; %s of pages\n", r->connections, r->failed, r->refused,
			      text_bytes(bytes, r->present_pages * PAGE_SERVER_PAGE));
	}
}
