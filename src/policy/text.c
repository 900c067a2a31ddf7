/* SPDX-License-Identifier: MIT */
/* Policies and findings as words, both ways. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "policy/decide.h"

static const char *const policy_names[] = {
	[POLICY_LEGACY] = "legacy",
	[POLICY_WARN] = "warn",
	[POLICY_COPY_V1] = "copy-v1",
	[POLICY_COPY_V2] = "copy-v2",
	[POLICY_DENY] = "deny",
};

#define POLICY_NAMES_N (sizeof(policy_names) / sizeof(policy_names[0]))

struct policy_words {
	bool vmsplice, nowait; /* each was said */
};

static bool policy_is(const char *word, size_t len, const char *name)
{
	return strlen(name) == len && memcmp(word, name, len) == 0;
}

static int policy_word(struct policy *p, struct policy_words *said, const char *word, size_t len,
		       struct err *reterr)
{
	for (size_t i = 0; i < POLICY_NAMES_N; i++) {
		if (!policy_is(word, len, policy_names[i]))
			continue;
		if (said->vmsplice)
			return err_set(reterr, -EINVAL,
				       "policy: %s and %s: only one of those for vmsplice",
				       policy_names[p->vmsplice], policy_names[i]);
		said->vmsplice = true;
		p->vmsplice = (uint8_t)i;
		return 0;
	}
	if (policy_is(word, len, "stable")) {
		p->stable = true;
	} else if (policy_is(word, len, "audit")) {
		p->audit = true;
	} else if (policy_is(word, len, "nowait=ideal") || policy_is(word, len, "nowait=kernel")) {
		if (said->nowait)
			return err_set(reterr, -EINVAL, "policy: nowait= is there twice");
		said->nowait = true;
		p->nowait_kernel = word[7] == 'k';
	} else {
		return err_set(reterr, -EINVAL,
			       "policy: '%.*s' is none of legacy, warn, copy-v1, copy-v2, deny, "
			       "stable, audit, nowait=ideal, nowait=kernel",
			       (int)(len < 40 ? len : 40), word);
	}
	return 0;
}

int policy_parse(const char *text, struct policy *ret, struct err *reterr)
{
	struct policy_words said = { false, false };
	struct policy p = { 0 };
	const char *at = text;

	if (!text || !*text)
		return err_set(reterr, -EINVAL, "policy: none was said");
	for (;;) {
		size_t len = strcspn(at, ",");
		int r = policy_word(&p, &said, at, len, reterr);

		if (r < 0)
			return r;
		if (!at[len])
			break;
		at += len + 1;
	}
	if (said.nowait && p.vmsplice != POLICY_COPY_V1 && p.vmsplice != POLICY_COPY_V2)
		return err_set(reterr, -EINVAL, "policy: nowait= is for copy-v1 and copy-v2");
	*ret = p;
	return 0;
}

void policy_text(const struct policy *p, char *ret, size_t size)
{
	bool copies = p->vmsplice == POLICY_COPY_V1 || p->vmsplice == POLICY_COPY_V2;

	(void)snprintf(ret, size, "%s%s%s%s", policy_names[p->vmsplice],
		       !copies ? "" : p->nowait_kernel ? ",nowait=kernel" : ",nowait=ideal",
		       p->stable ? ",stable" : "", p->audit ? ",audit" : "");
}

#define COPIES "copy-v1 and copy-v2"
#define KERNEL_V1 "would fail under copy-v1,nowait=kernel: "
#define KERNEL_V2 "would fail under copy-v2,nowait=kernel: "

/* "%" is where " on fd N" goes. */
static const struct {
	const char *name, *text;
} policy_findings[FINDING_MAX] = {
	[FINDING_GIFT] = {
		"gift",
		"gives pages away: SPLICE_F_GIFT% is without effect under " COPIES
	},
	[FINDING_FIFO_NOWAIT] = {
		"fifo-nowait",
		KERNEL_V1 "vmsplice with SPLICE_F_NONBLOCK to a FIFO% (EOPNOTSUPP)"
	},
	[FINDING_FIFO_V2] = {
		"fifo-v2",
		KERNEL_V2 "vmsplice to a FIFO% (EOPNOTSUPP)"
	},
	[FINDING_AFTER_SPLICE_V1] = {
		"after-splice-v1",
		KERNEL_V1 "vmsplice with SPLICE_F_NONBLOCK after splice% (EOPNOTSUPP)"
	},
	[FINDING_AFTER_SPLICE_V2] = {
		"after-splice-v2",
		KERNEL_V2 "vmsplice after splice% (EOPNOTSUPP)"
	},
	[FINDING_EINVAL_V2] = {
		"einval-v2",
		"would fail under copy-v2: "
		"SPLICE_F_NONBLOCK alone on an O_NONBLOCK pipe% (EINVAL)"
	},
	[FINDING_O_NONBLOCK] = {
		"o-nonblock",
		"would not block under " COPIES ": the pipe% is O_NONBLOCK, "
		"which vmsplice overlooks"
	},
	[FINDING_SHORT_V1] = {
		"short-v1",
		"would wait for the rest under copy-v1: a blocking vmsplice% took only a part"
	},
	[FINDING_EAGAIN] = {
		"eagain",
		"polls for EAGAIN%"
	},
	[FINDING_MODIFIED] = {
		"modified",
		"modifies the buffer after vmsplice%, while its bytes are in the pipe"
	},
	[FINDING_URING] = {
		"io-uring",
		"sets up io_uring%: a splice through it is not seen from outside the kernel"
	},
};

void policy_finding_text(enum policy_finding f, int fd, char *ret, size_t size)
{
	const char *text = f < FINDING_MAX ? policy_findings[f].text : "";
	size_t before = strcspn(text, "%");
	char on[24] = "";

	if (fd >= 0)
		(void)snprintf(on, sizeof(on), " on fd %d", fd);
	(void)snprintf(ret, size, "%.*s%s%s", (int)before, text, on,
		       text[before] ? text + before + 1 : "");
}

const char *policy_finding_name(enum policy_finding f)
{
	return f < FINDING_MAX ? policy_findings[f].name : "?";
}
