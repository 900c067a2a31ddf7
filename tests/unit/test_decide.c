/* SPDX-License-Identifier: MIT */
/*
 * What happens to a call under a policy: the whole table, as it was proposed
 * for the kernel, written down here once more in another form.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>

#include "policy/decide.h"
#include "tap.h"

#define N SPLICE_F_NONBLOCK
#define G SPLICE_F_GIFT

/* ------------------------------------------------------------ vmsplice, written down */

struct row {
	const char *policy;
	uint8_t kind;
	bool write, o_nonblock;
	uint32_t flags;
	/* wanted: */
	uint8_t action;
	int error;
	uint32_t rwf;
	bool wait;
};

#define W true
#define R false
#define ONB true
#define PIPE KIND_PIPE

static const struct row rows[] = {
	{ "legacy", PIPE, W, 0, 0, ACTION_PASS, 0, 0, 0 },
	{ "legacy", PIPE, W, ONB, N, ACTION_PASS, 0, 0, 0 },
	{ "audit", PIPE, W, 0, G, ACTION_PASS, 0, 0, 0 },
	{ "warn", PIPE, W, 0, G, ACTION_PASS, 0, 0, 0 },
	{ "warn", PIPE, R, 0, 0, ACTION_PASS, 0, 0, 0 },
	{ "deny", PIPE, W, 0, 0, ACTION_FAIL, ENOSYS, 0, 0 },
	{ "deny", PIPE, R, 0, N, ACTION_FAIL, ENOSYS, 0, 0 },
	{ "deny", KIND_FILE, W, 0, 0, ACTION_FAIL, ENOSYS, 0, 0 },
	{ "deny", KIND_BAD, W, 0, 0, ACTION_FAIL, ENOSYS, 0, 0 },
	{ "deny", PIPE, W, 0, 0x10, ACTION_FAIL, ENOSYS, 0, 0 },

	{ "copy-v1", PIPE, W, 0, 0, ACTION_WRITE, 0, 0, 0 },
	{ "copy-v1", PIPE, W, 0, G, ACTION_WRITE, 0, 0, 0 },
	{ "copy-v1", PIPE, W, 0, N, ACTION_WRITE, 0, RWF_NOWAIT, 0 },
	{ "copy-v1", PIPE, W, ONB, 0, ACTION_WRITE, 0, 0, 0 },
	{ "copy-v1", PIPE, W, ONB, N, ACTION_WRITE, 0, RWF_NOWAIT, 0 },
	{ "copy-v1", PIPE, R, 0, 0, ACTION_READ, 0, 0, 0 },
	{ "copy-v1", PIPE, R, 0, N, ACTION_READ, 0, RWF_NOWAIT, 0 },
	{ "copy-v1", KIND_FIFO, W, 0, N, ACTION_WRITE, 0, RWF_NOWAIT, 0 },

	{ "copy-v2", PIPE, W, 0, 0, ACTION_WAIT_WRITE, 0, RWF_NOWAIT, true },
	{ "copy-v2", PIPE, W, 0, N, ACTION_WAIT_WRITE, 0, RWF_NOWAIT, false },
	{ "copy-v2", PIPE, W, 0, N | G, ACTION_WAIT_WRITE, 0, RWF_NOWAIT, false },
	{ "copy-v2", PIPE, W, ONB, 0, ACTION_WAIT_WRITE, 0, RWF_NOWAIT, false },
	{ "copy-v2", PIPE, W, ONB, N, ACTION_FAIL, EINVAL, 0, 0 },
	{ "copy-v2", PIPE, W, ONB, N | SPLICE_F_MOVE, ACTION_WAIT_WRITE, 0, RWF_NOWAIT, false },
	{ "copy-v2", PIPE, R, ONB, N, ACTION_READ, 0, RWF_NOWAIT, 0 },
	{ "copy-v2", PIPE, R, 0, 0, ACTION_READ, 0, 0, 0 },
	{ "copy-v2", KIND_FIFO, W, 0, 0, ACTION_WAIT_WRITE, 0, RWF_NOWAIT, true },
};

static struct policy policy_of(const char *text)
{
	struct policy p;
	struct err e = { "" };

	if (policy_parse(text, &p, &e) < 0)
		bail("%s: %s", text, e.text);
	return p;
}

static struct policy_event event_of(uint8_t kind, bool write, bool o_nonblock, uint32_t flags)
{
	struct policy_event e = { .call = CALL_VMSPLICE, .flags = flags, .n = 1 };
	struct policy_end *end = write ? &e.out : &e.in;

	end->kind = kind;
	end->can_write = write;
	end->can_read = !write;
	end->nonblock = o_nonblock;
	return e;
}

static void check_rows(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		struct policy p = policy_of(r->policy);
		struct policy_event e = event_of(r->kind, r->write, r->o_nonblock, r->flags);
		struct policy_verdict v = policy_decide(&p, &e);

		ok(v.action == r->action && v.error == r->error && v.rwf == r->rwf &&
		   v.wait == r->wait, "%s: %s %s%s, flags 0x%x", r->policy,
		   policy_kind_name((enum policy_kind)r->kind), r->write ? "written" : "read",
		   r->o_nonblock ? " O_NONBLOCK" : "", r->flags);
	}
}

/* ------------------------------------------------------- every event, what always holds */

static const char *const policies[] = {
	"legacy", "warn", "audit", "deny", "copy-v1", "copy-v2", "copy-v1,nowait=kernel",
	"copy-v2,nowait=kernel", "stable", "copy-v2,stable", "deny,stable,audit",
};

#define POLICIES (sizeof(policies) / sizeof(policies[0]))

static void check_one(const struct policy *p, const struct policy_event *e)
{
	struct policy_verdict v = policy_decide(p, e);
	bool copies = p->vmsplice == POLICY_COPY_V1 || p->vmsplice == POLICY_COPY_V2;
	bool pipe = e->in.kind == KIND_PIPE || e->in.kind == KIND_FIFO ||
		    e->out.kind == KIND_PIPE || e->out.kind == KIND_FIFO;
	bool vector = v.action == ACTION_WRITE || v.action == ACTION_READ ||
		      v.action == ACTION_WAIT_WRITE;

	if (vector && (!copies || e->call != CALL_VMSPLICE || !pipe || (e->flags & ~15u)))
		ok(false, "only a good vmsplice on a pipe becomes another call");
	if (v.action == ACTION_COPY && (!p->stable || e->call == CALL_VMSPLICE))
		ok(false, "only stable copies");
	if ((v.action == ACTION_FAIL) != (v.error != 0))
		ok(false, "who fails says why");
	if (v.nowait_ideal && p->nowait_kernel)
		ok(false, "nowait=kernel is never ideal");
	if (v.warn && (p->vmsplice != POLICY_WARN || !(e->flags & G)))
		ok(false, "warnings are for warn and GIFT");
	if (v.wait && (e->flags & N))
		ok(false, "NONBLOCK never waits");
	if (p->vmsplice <= POLICY_WARN && !p->stable && v.action != ACTION_PASS)
		ok(false, "legacy, warn and audit change nothing");
}

static void check_all(void)
{
	unsigned long n = 0;

	for (size_t i = 0; i < POLICIES; i++) {
		struct policy p = policy_of(policies[i]);

		for (unsigned bits = 0; bits < CALL_MAX * KIND_MAX * KIND_MAX * 64 * 32; bits++) {
			unsigned b = bits;
			struct policy_event e = { .n = 1 };

			e.call = (enum policy_call)(b % CALL_MAX);
			b /= CALL_MAX;
			e.in.kind = (uint8_t)(b % KIND_MAX);
			b /= KIND_MAX;
			e.out.kind = (uint8_t)(b % KIND_MAX);
			b /= KIND_MAX;
			e.flags = b % 32;
			b /= 32;
			e.in.nonblock = b & 1;
			e.out.nonblock = b & 2;
			e.in.spliced = b & 4;
			e.out.spliced = b & 8;
			e.out.append = b & 16;
			e.in.can_read = b & 32;
			check_one(&p, &e);
			n++;
		}
	}
	ok(n > 1000000, "what always holds, held for %lu events", n);
}

/* -------------------------------------------------------------------- stable, filter */

static void check_stable(void)
{
	static const struct {
		enum policy_call call;
		uint8_t in, out, action;
	} table[] = {
		{ CALL_SPLICE, KIND_FILE, KIND_PIPE, ACTION_COPY },
		{ CALL_SPLICE, KIND_FILE, KIND_FIFO, ACTION_COPY },
		{ CALL_SPLICE, KIND_PIPE, KIND_SOCKET, ACTION_PASS },
		{ CALL_SPLICE, KIND_PIPE, KIND_FILE, ACTION_PASS },
		{ CALL_SPLICE, KIND_PIPE, KIND_PIPE, ACTION_PASS },
		{ CALL_SPLICE, KIND_SOCKET, KIND_PIPE, ACTION_PASS },
		{ CALL_SPLICE, KIND_OTHER, KIND_PIPE, ACTION_PASS },
		{ CALL_SPLICE, KIND_BAD, KIND_PIPE, ACTION_PASS },
		{ CALL_SENDFILE, KIND_FILE, KIND_SOCKET, ACTION_COPY },
		{ CALL_SENDFILE, KIND_FILE, KIND_PIPE, ACTION_COPY },
		{ CALL_SENDFILE, KIND_FILE, KIND_FILE, ACTION_PASS },
		{ CALL_TEE, KIND_PIPE, KIND_PIPE, ACTION_COPY },
		{ CALL_TEE, KIND_FILE, KIND_PIPE, ACTION_PASS },
		{ CALL_COPY_FILE_RANGE, KIND_FILE, KIND_FILE, ACTION_PASS },
		{ CALL_VMSPLICE, KIND_NONE, KIND_PIPE, ACTION_PASS },
		{ CALL_IO_URING_SETUP, KIND_NONE, KIND_NONE, ACTION_FAIL },
	};
	struct policy stable = policy_of("stable"), plain = policy_of("audit");

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct policy_event e = { .call = table[i].call, .n = 1 };

		e.in.kind = table[i].in;
		e.out.kind = table[i].out;
		is_int(policy_decide(&stable, &e).action, table[i].action, "stable: %s %s to %s",
		       policy_call_name(e.call), policy_kind_name((enum policy_kind)table[i].in),
		       policy_kind_name((enum policy_kind)table[i].out));
		is_int(policy_decide(&plain, &e).action, ACTION_PASS, "  and without it");
	}
}

static void check_filter(void)
{
	static const struct {
		const char *policy;
		bool counted;
		enum policy_call call;
		enum policy_filter want;
		int error;
	} table[] = {
		{ "legacy", false, CALL_VMSPLICE, FILTER_ALLOW, 0 },
		{ "legacy", true, CALL_VMSPLICE, FILTER_CATCH, 0 },
		{ "deny", false, CALL_VMSPLICE, FILTER_ERROR, ENOSYS },
		{ "deny", true, CALL_VMSPLICE, FILTER_CATCH, 0 },
		{ "deny", false, CALL_SPLICE, FILTER_ALLOW, 0 },
		{ "copy-v1", false, CALL_VMSPLICE, FILTER_CATCH, 0 },
		{ "copy-v2", false, CALL_SPLICE, FILTER_ALLOW, 0 },
		{ "warn", false, CALL_VMSPLICE, FILTER_CATCH, 0 },
		{ "stable", false, CALL_VMSPLICE, FILTER_ALLOW, 0 },
		{ "stable", false, CALL_SPLICE, FILTER_CATCH, 0 },
		{ "stable", false, CALL_TEE, FILTER_CATCH, 0 },
		{ "stable", false, CALL_SENDFILE, FILTER_CATCH, 0 },
		{ "stable", false, CALL_COPY_FILE_RANGE, FILTER_ALLOW, 0 },
		{ "stable", false, CALL_IO_URING_SETUP, FILTER_ERROR, EPERM },
		{ "copy-v2", false, CALL_IO_URING_SETUP, FILTER_ALLOW, 0 },
		{ "audit", true, CALL_IO_URING_SETUP, FILTER_CATCH, 0 },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct policy p = policy_of(table[i].policy);
		int error = 0;

		ok(policy_filter(&p, table[i].counted, table[i].call, &error) == table[i].want &&
		   error == table[i].error, "filter: %s%s: %s", table[i].policy,
		   table[i].counted ? ", counted" : "", policy_call_name(table[i].call));
	}
}

/* ------------------------------------------------------------------------ words */

static void check_findings(void)
{
	struct policy p = policy_of("audit");
	struct policy_event e = event_of(PIPE, W, false, N);
	char text[160];

	is_int(policy_decide(&p, &e).findings, 0, "a plain vmsplice: nothing to say");
	e.out.spliced = true;
	is_int(policy_decide(&p, &e).findings,
	       1u << FINDING_AFTER_SPLICE_V1 | 1u << FINDING_AFTER_SPLICE_V2, "after splice");
	e.flags = 0;
	is_int(policy_decide(&p, &e).findings, 1u << FINDING_AFTER_SPLICE_V2,
	       "blocking: v2 only");
	e = event_of(KIND_FIFO, W, false, N);
	is_int(policy_decide(&p, &e).findings, 1u << FINDING_FIFO_NOWAIT | 1u << FINDING_FIFO_V2,
	       "a FIFO");
	e = event_of(PIPE, W, true, N);
	is_int(policy_decide(&p, &e).findings, 1u << FINDING_EINVAL_V2, "what libfuse does");
	e = event_of(PIPE, W, true, G);
	is_int(policy_decide(&p, &e).findings, 1u << FINDING_O_NONBLOCK | 1u << FINDING_GIFT,
	       "O_NONBLOCK and no flag");
	e = event_of(PIPE, W, false, 0x10);
	is_int(policy_decide(&p, &e).findings, 0, "nothing of a call that fails anyway");
	policy_finding_text(FINDING_AFTER_SPLICE_V2, 5, text, sizeof(text));
	is_str(text, "would fail under copy-v2,nowait=kernel: vmsplice after splice on fd 5 "
	       "(EOPNOTSUPP)", "in words");
	for (int f = 0; f < FINDING_MAX; f++) {
		policy_finding_text((enum policy_finding)f, 1234567890, text, sizeof(text));
		if (!strstr(text, " on fd 1234567890") || strlen(text) >= sizeof(text) - 1 ||
		    !policy_finding_name((enum policy_finding)f)[0])
			ok(false, "finding %d has words", f);
	}
}

static void check_parse(void)
{
	static const char *const good[][2] = {
		{ "legacy", "legacy" }, { "warn", "warn" }, { "deny", "deny" },
		{ "copy-v1", "copy-v1,nowait=ideal" },
		{ "nowait=kernel,copy-v2", "copy-v2,nowait=kernel" },
		{ "stable", "legacy,stable" }, { "audit", "legacy,audit" },
		{ "audit,stable,copy-v1,nowait=ideal", "copy-v1,nowait=ideal,stable,audit" },
	};
	static const char *const bad[] = {
		"", ",", "legacy,", ",legacy", "legacy,warn", "copy-v1,copy-v2", "copy", "COPY-V1",
		"nowait=kernel", "deny,nowait=ideal", "copy-v1,nowait=ideal,nowait=kernel",
		"copy-v1,nowait", "copy-v1 ", "legacy,legacy",
	};
	struct err e;
	struct policy p;
	char text[64];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		p = policy_of(good[i][0]);
		policy_text(&p, text, sizeof(text));
		is_str(text, good[i][1], "'%s'", good[i][0]);
		p = policy_of(text);
		policy_text(&p, text, sizeof(text));
		is_str(text, good[i][1], "  and back");
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		e.text[0] = '\0';
		ok(policy_parse(bad[i], &p, &e) == -EINVAL && strncmp(e.text, "policy: ", 8) == 0,
		   "'%s' is refused: %s", bad[i], e.text);
	}
	is_int(policy_parse(NULL, &p, NULL), -EINVAL, "none");
}

int main(void)
{
	check_rows();
	check_all();
	check_stable();
	check_filter();
	check_findings();
	check_parse();
	return done();
}
