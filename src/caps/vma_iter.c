/* SPDX-License-Identifier: MIT */
#include "caps/vma_iter.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/btf.h"
#include "sys/proc.h"
#include "sys/sys.h"
#include "sys/trace.h"

/* Mappings that the kernel calls I/O: this process always has one ([vvar]), and can make none. */
#define VMA_ITER_PFNMAP 0x400u
#define VMA_ITER_IO 0x4000u

#define VMA_ITER_WORDS (sizeof(struct vma_record) / sizeof(uint64_t))
#define VMA_ITER_INSNS 32
#define VMA_ITER_CHUNK 16384

/* ------------------------------------------------------------ the program */

/* Of struct vm_area_struct, and the iterator's function, whose type the program has. */
struct iter_places {
	int64_t member[VMA_ITER_WORDS];
	int64_t function;
};

static int iter_places(const struct btf *b, struct iter_places *ret)
{
	static const char *const names[VMA_ITER_WORDS] = {
		"vm_start", "vm_end", "vm_flags", "anon_vma", "vm_userfaultfd_ctx",
	};
	int64_t vma = btf_find(b, BTF_STRUCT, "vm_area_struct");

	ret->function = btf_find(b, BTF_FUNCTION, "bpf_iter_task_vma");
	if (vma < 0 || ret->function < 0)
		return -ENOTSUP;
	for (size_t i = 0; i < VMA_ITER_WORDS; i++) {
		ret->member[i] = btf_member(b, vma, names[i]);
		if (ret->member[i] < 0 || ret->member[i] > INT16_MAX)
			return -ENOTSUP;
	}
	return 0;
}

/* Kernels before 6.16 do not let it be mapped, and give one page for each read. */
static int iter_types(int fd, size_t len, void **ret_map, void **ret_copy)
{
	size_t got = 0;

	*ret_copy = NULL;
	if (sys_mmap(ret_map, NULL, len, PROT_READ, MAP_PRIVATE, fd, 0) >= 0)
		return 0;
	*ret_map = NULL;
	*ret_copy = sys_malloc(len);
	if (!*ret_copy)
		return -ENOMEM;
	while (got < len) {
		ssize_t n = sys_read(fd, (char *)*ret_copy + got, len - got);

		if (n <= 0)
			return n < 0 ? (int)n : -EBADMSG;
		got += (size_t)n;
	}
	return 0;
}

static int iter_look_up(struct iter_places *ret, struct err *reterr)
{
	static const char path[] = "/sys/kernel/btf/vmlinux";
	_cleanup_close_ int fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
	void *map = NULL, *copy = NULL;
	struct btf b = BTF_INIT;
	struct stat st;
	size_t len = 0;
	int r = fd < 0 ? fd : sys_fstat(fd, &st);

	if (r >= 0) {
		len = (size_t)st.st_size;
		r = iter_types(fd, len, &map, &copy);
	}
	if (r >= 0)
		r = btf_index(&b, map ? map : copy, len);
	if (r >= 0)
		r = iter_places(&b, ret);
	btf_free(&b);
	if (map)
		(void)sys_munmap(map, len);
	free(copy);
	return r < 0 ? err_errno(reterr, r, "%s", path) : 0;
}

struct iter_code {
	struct bpf_insn v[VMA_ITER_INSNS];
	unsigned n;
};

static void iter_put(struct iter_code *c, uint8_t code, unsigned dst, unsigned src, int64_t off,
		     int32_t imm)
{
	c->v[c->n++] = (struct bpf_insn){
		.code = code, .dst_reg = dst & 0xf, .src_reg = src & 0xf, .off = (int16_t)off,
		.imm = imm,
	};
}

/*
 *	if (ctx->vma)
 *		bpf_seq_write(ctx->meta->seq, record on the stack, its size);
 *	return 0;
 *
 * ctx is struct bpf_iter__task_vma { meta; task; vma; }, and seq the first
 * member of meta; both are interfaces to programs, eight bytes each.
 */
static void iter_write(struct iter_code *c, const struct iter_places *p)
{
	enum { LOAD = BPF_LDX | BPF_MEM | BPF_DW, STORE = BPF_STX | BPF_MEM | BPF_DW };
	const int room = -(int)sizeof(struct vma_record);
	unsigned jump;

	iter_put(c, LOAD, BPF_REG_6, BPF_REG_1, 16, 0);
	jump = c->n;
	iter_put(c, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_6, 0, 0, 0);
	iter_put(c, LOAD, BPF_REG_7, BPF_REG_1, 0, 0);
	iter_put(c, LOAD, BPF_REG_7, BPF_REG_7, 0, 0);
	for (unsigned i = 0; i < VMA_ITER_WORDS; i++) {
		iter_put(c, LOAD, BPF_REG_1, BPF_REG_6, p->member[i], 0);
		iter_put(c, STORE, BPF_REG_10, BPF_REG_1, room + 8 * (int)i, 0);
	}
	iter_put(c, BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_7, 0, 0);
	iter_put(c, BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_2, BPF_REG_10, 0, 0);
	iter_put(c, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, room);
	iter_put(c, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, -room);
	iter_put(c, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_seq_write);
	c->v[jump].off = (int16_t)(c->n - jump - 1);
	iter_put(c, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0);
	iter_put(c, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static int iter_load(const struct iter_places *p, struct err *reterr)
{
	struct iter_code code = { .n = 0 };
	union bpf_attr a;
	int r;

	iter_write(&code, p);
	memset(&a, 0, sizeof(a));
	a.prog_type = BPF_PROG_TYPE_TRACING;
	a.expected_attach_type = BPF_TRACE_ITER;
	a.attach_btf_id = (uint32_t)p->function;
	a.insns = (uintptr_t)code.v;
	a.insn_cnt = code.n;
	a.license = (uintptr_t)"Dual MIT/GPL"; /* of the program: seq_write asks for it */
	r = sys_bpf(BPF_PROG_LOAD, &a, sizeof(a));
	return r < 0 ? err_errno(reterr, r, "bpf: a program over mappings") : r;
}

/* ---------------------------------------------------------------- reading */

static int iter_start(const struct vma_iter *v, pid_t tid)
{
	union bpf_iter_link_info info;
	union bpf_attr a;
	int link, r;

	memset(&info, 0, sizeof(info));
	info.task.tid = (uint32_t)tid;
	memset(&a, 0, sizeof(a));
	a.link_create.prog_fd = (uint32_t)v->program;
	a.link_create.attach_type = BPF_TRACE_ITER;
	a.link_create.iter_info = (uintptr_t)&info;
	a.link_create.iter_info_len = sizeof(info);
	link = sys_bpf(BPF_LINK_CREATE, &a, sizeof(a));
	if (link < 0)
		return link;
	memset(&a, 0, sizeof(a));
	a.iter_create.link_fd = (uint32_t)link;
	r = sys_bpf(BPF_ITER_CREATE, &a, sizeof(a));
	(void)sys_close(link);
	return r;
}

/*
 * From *at on they must ascend.  Kernels (6.18 is one) give the last of a long
 * list again and again, instead of its end.
 */
static bool iter_is_over(struct buf *records, size_t *at, uint64_t *last)
{
	for (; *at + sizeof(struct vma_record) <= records->len; *at += sizeof(struct vma_record)) {
		struct vma_record r;

		memcpy(&r, records->data + *at, sizeof(r));
		if (r.end <= *last) {
			records->len = *at;
			return true;
		}
		*last = r.end;
	}
	return false;
}

int vma_iter_read(const struct vma_iter *v, pid_t tid, struct buf *ret)
{
	_cleanup_close_ int fd = iter_start(v, tid);
	char chunk[VMA_ITER_CHUNK];
	size_t at = ret->len;
	uint64_t last = 0;
	ssize_t n;

	if (fd < 0)
		return fd;
	do {
		n = sys_read(fd, chunk, sizeof(chunk));
		if (n > 0)
			buf_append(ret, chunk, (size_t)n);
		if (iter_is_over(ret, &at, &last))
			return ret->error;
	} while (n > 0 && !ret->error);
	if (n < 0 || ret->error)
		return n < 0 ? (int)n : ret->error;
	return at == ret->len ? 0 : -EBADMSG;
}

/* --------------------------------------------------------------- the bits */

static int iter_map(void **ret, size_t len, int prot, int flags)
{
	int r;

	do {
		r = sys_mmap(ret, NULL, len, prot, flags, -1, 0);
	} while (r == -EINTR);
	return r;
}

static int iter_record(const struct vma_iter *v, uintptr_t at, struct vma_record *ret)
{
	struct buf records = BUF_INIT;
	int r = vma_iter_read(v, sys_gettid(), &records);

	if (r == 0)
		r = -ENOTSUP; /* not there: then it lists something else */
	for (size_t i = 0; i + sizeof(*ret) <= records.len && r == -ENOTSUP; i += sizeof(*ret)) {
		memcpy(ret, records.data + i, sizeof(*ret));
		if (at >= ret->start && at < ret->end)
			r = 0;
	}
	buf_free(&records);
	return r;
}

/* The one bit that advice sets. */
static int iter_advice(const struct vma_iter *v, void *page, int advice, uint64_t *ret)
{
	struct vma_record before, after;
	int r = iter_record(v, (uintptr_t)page, &before);

	if (r >= 0)
		do {
			r = sys_madvise(page, (size_t)sysconf(_SC_PAGESIZE), advice);
		} while (r == -EINTR);
	if (r >= 0)
		r = iter_record(v, (uintptr_t)page, &after);
	if (r < 0)
		return r;
	*ret = after.flags & ~before.flags;
	return *ret && !(*ret & (*ret - 1)) ? 0 : -ENOTSUP;
}

/* In the middle of three pages that nobody can use: it has no neighbour to be merged with. */
static int iter_advices(struct vma_iter *v)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct vma_record plain;
	void *at = NULL;
	char *middle;
	int r = iter_map(&at, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS);

	if (r < 0)
		return r;
	middle = (char *)at + page;
	do {
		r = sys_mprotect(middle, page, PROT_READ);
	} while (r == -EINTR);
	if (r >= 0)
		r = iter_record(v, (uintptr_t)middle, &plain);
	if (r >= 0 && (plain.flags & v->bits.io || plain.uffd || plain.anon_vma ||
		       plain.start != (uintptr_t)middle || plain.end != plain.start + page))
		r = -ENOTSUP;
	if (r >= 0)
		r = iter_advice(v, middle, MADV_DONTDUMP, &v->bits.dontdump);
	if (r >= 0)
		r = iter_advice(v, middle, MADV_DONTFORK, &v->bits.dontfork);
	if (r >= 0)
		r = iter_advice(v, middle, MADV_WIPEONFORK, &v->bits.wipeonfork);
	(void)sys_munmap(at, 3 * page);
	return r;
}

/* Before the vDSO stands the kernel's data for it. */
static int iter_io(struct vma_iter *v)
{
	unsigned long vdso = getauxval(AT_SYSINFO_EHDR);
	struct vma_record data;
	int r = vdso ? iter_record(v, vdso - 1, &data) : -ENOTSUP;

	v->bits.io = VMA_ITER_IO | VMA_ITER_PFNMAP;
	return r < 0 ? r : data.flags & v->bits.io ? 0 : -ENOTSUP;
}

/* No huge page is needed for a mapping that reserves none. */
static int iter_hugetlb(struct vma_iter *v)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	const size_t len = (size_t)2 << 20;
	struct vma_record huge, plain;
	void *at = NULL;
	int r = iter_map(&at, len, PROT_READ, flags | MAP_HUGETLB);

	v->bits.hugetlb = 0;
	if (r == -EINVAL || r == -ENOSYS || r == -ENOENT)
		return 0; /* the kernel has none */
	if (r < 0)
		return r;
	r = iter_record(v, (uintptr_t)at, &huge);
	(void)sys_munmap(at, len);
	if (r >= 0)
		r = iter_map(&at, len, PROT_READ, flags);
	if (r < 0)
		return r;
	r = iter_record(v, (uintptr_t)at, &plain);
	(void)sys_munmap(at, len);
	if (r < 0)
		return r;
	v->bits.hugetlb = huge.flags & ~plain.flags;
	return v->bits.hugetlb ? 0 : -ENOTSUP;
}

int vma_iter_open(struct vma_iter *ret, struct err *reterr)
{
	struct iter_places places = { .function = 0 };
	int r = iter_look_up(&places, reterr);

	ret->program = -1;
	if (r < 0)
		return r;
	ret->program = iter_load(&places, reterr);
	if (ret->program < 0)
		return ret->program;
	r = iter_io(ret);
	if (r >= 0)
		r = iter_advices(ret);
	if (r >= 0)
		r = iter_hugetlb(ret);
	if (r < 0) {
		vma_iter_close(ret);
		return err_errno(reterr, r, "bpf: the flags of this process's mappings");
	}
	return 0;
}

void vma_iter_close(struct vma_iter *v)
{
	cleanup_close_(&v->program);
}
