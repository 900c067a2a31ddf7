/* SPDX-License-Identifier: MIT */
#include "images_report.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "json_line.h"
#include "text.h"

#define IMAGES_PAGE 4096u

struct images_out {
	const struct images_options *o;
	struct decant_images *images;
	struct json json;
	unsigned level;
	uint64_t n;
};

/* What was made of the JSON so far goes out; the writer knows where it stands. */
static void images_flush(struct images_out *out)
{
	if (out->json.buf.len)
		(void)fwrite(out->json.buf.data, 1, out->json.buf.len, stdout);
	buf_clear(&out->json.buf);
}

static void images_name(char *ret, size_t size, uint32_t kind, uint64_t id)
{
	(void)snprintf(ret, size, "pagemap-%s%" PRIu64 ".img",
		       kind == DECANT_IMAGES_SHMEM ? "shmem-" : "", id);
}

static const char *images_flags(uint32_t flags)
{
	return flags & DECANT_IMAGES_PARENT ? "parent" :
	       flags & DECANT_IMAGES_PRESENT ?
		       flags & DECANT_IMAGES_LAZY ? "present, lazy" : "present" : "lazy";
}

/* -------------------------------------------------------------------- show */

static int images_show_range(void *arg, const struct decant_images_range *r)
{
	struct images_out *out = arg;
	struct json *j = &out->json;

	if (!out->o->json) {
		(void)printf("    %12" PRIx64 "-%-12" PRIx64 " %10" PRIu64 " %s\n", r->start,
			     r->end, (r->end - r->start) / IMAGES_PAGE, images_flags(r->flags));
		return 0;
	}
	json_object(j);
	json_member_u64(j, "start", r->start);
	json_member_u64(j, "pages", (r->end - r->start) / IMAGES_PAGE);
	json_member_bool(j, "present", r->flags & DECANT_IMAGES_PRESENT);
	json_member_bool(j, "parent", r->flags & DECANT_IMAGES_PARENT);
	json_member_bool(j, "lazy", r->flags & DECANT_IMAGES_LAZY);
	if (r->flags & DECANT_IMAGES_PRESENT)
		json_member_u64(j, "offset", r->offset);
	json_end(j);
	images_flush(out);
	return 0;
}

static void images_show_line(const struct decant_images_map *m)
{
	char name[64], here[TEXT_NUMBER_MAX], parent[TEXT_NUMBER_MAX];

	images_name(name, sizeof(name), m->kind, m->id);
	(void)printf("  %-22s pages-%-6" PRIu32 " %8" PRIu64 " entr%s %12s here %12s in parent",
		     name, m->pages_id, m->entries, m->entries == 1 ? "y, " : "ies,",
		     text_bytes(here, m->present_pages * IMAGES_PAGE),
		     text_bytes(parent, m->parent_pages * IMAGES_PAGE));
	if (m->lazy_pages)
		(void)printf(" %" PRIu64 " lazy pages", m->lazy_pages);
	(void)printf("%s%s\n", m->error ? ": " : "", m->error ? m->message : "");
}

static void images_show_json(struct json *j, const struct decant_images_map *m)
{
	char name[64];

	images_name(name, sizeof(name), m->kind, m->id);
	json_object(j);
	json_member_string(j, "name", name);
	json_member_string(j, "kind", m->kind == DECANT_IMAGES_SHMEM ? "shmem" : "process");
	json_member_u64(j, "id", m->id);
	json_member_u64(j, "pages_id", m->pages_id);
	json_member_u64(j, "entries", m->entries);
	json_member_u64(j, "present_pages", m->present_pages);
	json_member_u64(j, "parent_pages", m->parent_pages);
	json_member_u64(j, "lazy_pages", m->lazy_pages);
	json_member_u64(j, "pages_file_bytes", m->file_bytes);
	json_member_string(j, "error", m->error ? m->message : NULL);
}

static int images_show_map(void *arg, const struct decant_images_map *m)
{
	struct images_out *out = arg;
	struct json *j = &out->json;
	int r = 0;

	if (out->o->json)
		images_show_json(j, m);
	else
		images_show_line(m);
	if (out->o->json && out->o->ranges) {
		json_key(j, "ranges");
		json_array(j);
	}
	/* A damaged one was told; its entries up to there are shown. */
	if (out->o->ranges)
		r = decant_images_entries(out->images, out->level, m->kind, m->id,
					  images_show_range, out);
	if (out->o->json && out->o->ranges)
		json_end(j);
	if (out->o->json)
		json_end(j);
	images_flush(out);
	return m->error ? 0 : r;
}

/* It has registers: `decant predump --final` made it. */
static bool images_final(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	bool is = false;

	while (dir && !is && (e = readdir(dir)))
		is = strncmp(e->d_name, "decant-", strlen("decant-")) == 0;
	if (dir)
		(void)closedir(dir);
	return is;
}

static void images_show_level(struct images_out *out, const struct decant_images_level *l)
{
	struct json *j = &out->json;

	if (!out->o->json) {
		(void)printf("%s%s%s: %s", l->path, l->parent ? " -> " : "",
			     l->parent ? l->parent : "",
			     l->unfinished ? "unfinished" :
			     l->complete ? "complete" : "no inventory");
		(void)printf("%s\n", images_final(l->path) ? ", final" :
				     l->pre_dump_mode == 1 ? ", pre-dump (splice)" :
				     l->pre_dump_mode == 2 ? ", pre-dump (read)" : "");
		return;
	}
	json_object(j);
	json_member_string(j, "path", l->path);
	json_member_string(j, "parent", l->parent);
	json_member_bool(j, "complete", l->complete);
	json_member_bool(j, "unfinished", l->unfinished);
	json_member_u64(j, "img_version", l->img_version);
	json_member_u64(j, "dump_uptime_us", l->dump_uptime_us);
	json_member_u64(j, "pre_dump_mode", l->pre_dump_mode);
	json_key(j, "pagemaps");
	json_array(j);
}

int images_show(struct decant_images *i, const struct images_options *o)
{
	struct images_out out = { .o = o, .images = i, .json = JSON_INIT };
	int n = decant_images_level(i, 0, NULL), r = 0;

	if (o->json) {
		json_object(&out.json);
		json_key(&out.json, "levels");
		json_array(&out.json);
	}
	for (out.level = 0; (int)out.level < n && r >= 0; out.level++) {
		struct decant_images_level l = DECANT_IMAGES_LEVEL_INIT;

		r = decant_images_level(i, out.level, &l);
		if (r < 0)
			break;
		images_show_level(&out, &l);
		r = decant_images_maps(i, out.level, images_show_map, &out);
		if (o->json) {
			json_end(&out.json);
			json_end(&out.json);
		}
	}
	if (o->json) {
		json_end(&out.json);
		json_end(&out.json);
		images_flush(&out);
		(void)putchar('\n');
	}
	json_free(&out.json);
	return r;
}

/* ------------------------------------------------------------------- check */

static void images_fault_line(const struct images_out *out, const struct decant_images_fault *f)
{
	struct decant_images_level l = DECANT_IMAGES_LEVEL_INIT;
	char name[64] = "";

	if (decant_images_level(out->images, f->level, &l) < 0)
		l.path = "?";
	if (f->of_map)
		images_name(name, sizeof(name), f->kind, f->id);
	(void)printf("%s%s%s: ", l.path, name[0] ? "/" : "", name);
	if (f->pages && f->addr)
		(void)printf("%#" PRIx64 ", %" PRIu64 " page%s: ", f->addr, f->pages,
			     f->pages == 1 ? "" : "s");
	(void)printf("%s%s\n", f->notice ? "note: " : "", f->message);
}

static int images_fault(void *arg, const struct decant_images_fault *f)
{
	struct images_out *out = arg;
	struct json *j = &out->json;

	if (!out->o->json) {
		if (!f->notice || !out->o->quiet)
			images_fault_line(out, f);
		return 0;
	}
	json_object(j);
	json_member_u64(j, "level", f->level);
	json_member_bool(j, "notice", f->notice);
	json_key(j, "pagemap");
	if (f->of_map) {
		char name[64];

		images_name(name, sizeof(name), f->kind, f->id);
		json_string(j, name);
	} else {
		json_null(j);
	}
	json_member_u64(j, "address", f->addr);
	json_member_u64(j, "pages", f->pages);
	json_member_string(j, "message", f->message);
	json_end(j);
	images_flush(out);
	return 0;
}

int images_check(struct decant_images *i, const struct images_options *o, int64_t *ret_faults)
{
	struct images_out out = { .o = o, .images = i, .json = JSON_INIT };
	int64_t n;

	if (o->json) {
		json_object(&out.json);
		json_key(&out.json, "found");
		json_array(&out.json);
	}
	n = decant_images_check(i, images_fault, &out);
	if (o->json) {
		json_end(&out.json);
		json_member_i64(&out.json, "faults", n);
		json_end(&out.json);
		images_flush(&out);
		(void)putchar('\n');
	} else if (n == 0 && !o->quiet) {
		(void)printf("%s: good\n", o->dir);
	}
	json_free(&out.json);
	*ret_faults = n;
	return n < 0 ? (int)n : 0;
}

/* ----------------------------------------------------------- what was made */

void images_made(const struct images_options *o, const char *output,
		 const struct decant_images_report *r, uint64_t took_ns)
{
	char bytes[TEXT_NUMBER_MAX], copied[TEXT_NUMBER_MAX], took[TEXT_NUMBER_MAX];
	struct json j = JSON_INIT;

	if (o->json) {
		json_object(&j);
		json_member_string(&j, "output", output);
		json_member_u64(&j, "pagemaps", r->maps);
		json_member_u64(&j, "pages", r->pages);
		json_member_u64(&j, "copied_bytes", r->copied_bytes);
		if (o->action == IMAGES_CORE) {
			json_member_u64(&j, "mappings", r->mappings);
			json_member_u64(&j, "stray_pages", r->stray_pages);
			json_member_u64(&j, "file_bytes", r->file_bytes);
		}
		json_member_u64(&j, "total_ns", took_ns);
		json_end(&j);
		json_line_print(stdout, &j);
	} else if (!o->quiet) {
		(void)fprintf(stderr, "%s: %s of pages in %s, %s of it copied\n", output,
			      text_bytes(bytes, r->pages * IMAGES_PAGE),
			      text_duration(took, took_ns), text_bytes(copied, r->copied_bytes));
		if (r->stray_pages)
			(void)fprintf(stderr, "  %" PRIu64 " pages are in no mapping, and not "
				      "in it\n", r->stray_pages);
	}
}
