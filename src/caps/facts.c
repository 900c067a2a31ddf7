/* SPDX-License-Identifier: MIT */
#include "caps/facts.h"
#include "caps/probe.h"

const struct fact_row fact_table[FACT_MAX] = {
	[FACT_NONE] = {
		.name = "none",
		.what = "nothing",
	},
	[FACT_IO_URING] = {
		.name = "io_uring",
		.what = "asynchronous system calls",
		.probe = probe_io_uring,
	},
	[FACT_SEND_ZC] = {
		.name = "send_zc",
		.what = "io_uring sends without a copy and tells when it is done with the pages",
		.probe = probe_send_zc,
		.needs = { FACT_IO_URING },
	},
	[FACT_SEND_ZC_REPORT] = {
		.name = "send_zc_report",
		.what = "the notification of such a send says whether the kernel copied",
		.probe = probe_send_zc_report,
		.needs = { FACT_SEND_ZC },
	},
	[FACT_MSG_ZEROCOPY] = {
		.name = "msg_zerocopy",
		.what = "send(MSG_ZEROCOPY), which needs no io_uring",
		.probe = probe_msg_zerocopy,
	},
	[FACT_SENDFILE] = {
		.name = "sendfile",
		.what = "sendfile(2) from a file to a socket",
		.probe = probe_sendfile,
	},
	[FACT_SPLICE] = {
		.name = "splice",
		.what = "splice(2) from a file to a pipe to a socket",
		.probe = probe_splice,
	},
	[FACT_SPLICE_SHARES] = {
		.name = "splice_shares",
		.what = "spliced file pages stay those of the file: a later write shows",
		.probe = probe_splice_shares,
		.needs = { FACT_SPLICE },
		.no_is_a_promise = true,
	},
	[FACT_SPLICE_DIRECT] = {
		.name = "splice_direct",
		.what = "splice(2) from an O_DIRECT descriptor takes pages of its own",
		.probe = probe_splice_direct,
		.needs = { FACT_SPLICE, FACT_O_DIRECT },
	},
	[FACT_TEE] = {
		.name = "tee",
		.what = "tee(2) from pipe to pipe",
		.probe = probe_tee,
	},
	[FACT_VMSPLICE] = {
		.name = "vmsplice",
		.what = "vmsplice(2) from memory to a pipe",
		.probe = probe_vmsplice,
	},
	[FACT_VMSPLICE_SHARES] = {
		.name = "vmsplice_shares",
		.what = "vmspliced pages stay the caller's: a later write shows",
		.probe = probe_vmsplice_shares,
		.needs = { FACT_VMSPLICE },
		.no_is_a_promise = true,
	},
	[FACT_COPY_FILE_RANGE] = {
		.name = "copy_file_range",
		.what = "copy_file_range(2)",
		.probe = probe_copy_file_range,
	},
	[FACT_REFLINK] = {
		.name = "reflink",
		.what = "files in $TMPDIR can share blocks (FICLONE)",
		.probe = probe_reflink,
	},
	[FACT_O_DIRECT] = {
		.name = "o_direct",
		.what = "files in $TMPDIR can be read past the page cache",
		.probe = probe_o_direct,
	},
	[FACT_STATX_DIOALIGN] = {
		.name = "statx_dioalign",
		.what = "statx(2) tells the alignment for O_DIRECT",
		.probe = probe_statx_dioalign,
	},
	[FACT_LEASE] = {
		.name = "lease",
		.what = "a read lease on a file in $TMPDIR (F_SETLEASE)",
		.probe = probe_lease,
	},
	[FACT_SEALS] = {
		.name = "seals",
		.what = "memory files can be sealed against writing",
		.probe = probe_seals,
	},
	[FACT_VERITY] = {
		.name = "verity",
		.what = "statx(2) tells which files are under fs-verity",
		.probe = probe_verity,
	},
	[FACT_PIPE_REOPEN] = {
		.name = "pipe_reopen",
		.what = "a pipe can be opened anew through /proc",
		.probe = probe_pipe_reopen,
	},
	[FACT_PIPE_NOWAIT] = {
		.name = "pipe_nowait",
		.what = "RWF_NOWAIT on pipes",
		.probe = probe_pipe_nowait,
	},
	[FACT_FILE_NOWAIT] = {
		.name = "file_nowait",
		.what = "RWF_NOWAIT on files; some file systems refuse it",
		.probe = probe_file_nowait,
	},
	[FACT_PROCESS_VM] = {
		.name = "process_vm",
		.what = "process_vm_readv(2)",
		.probe = probe_process_vm,
	},
	[FACT_MEMLOCK] = {
		.name = "memlock",
		.what = "bytes that zero-copy sends may pin (RLIMIT_MEMLOCK)",
		.probe = probe_memlock,
	},
	[FACT_PIPE_SIZE] = {
		.name = "pipe_size",
		.what = "bytes in the largest pipe",
		.probe = probe_pipe_size,
	},
	[FACT_PAGEMAP_SCAN] = {
		.name = "pagemap_scan",
		.what = "which pages of a process are there, by ranges (PAGEMAP_SCAN)",
		.probe = probe_pagemap_scan,
	},
	[FACT_PAGEMAP_FRAMES] = {
		.name = "pagemap_frames",
		.what = "frame numbers in pagemap, by which the zero page is known",
		.probe = probe_pagemap_frames,
	},
	[FACT_UFFD_WP_ASYNC] = {
		.name = "uffd_wp_async",
		.what = "writes of a process are tracked without its help (userfaultfd, WP_ASYNC)",
		.probe = probe_uffd_wp_async,
		.needs = { FACT_PAGEMAP_SCAN },
	},
	[FACT_WP_HOLES] = {
		.name = "wp_holes",
		.what = "a scan of tracked memory tells of dropped page tables as of writes",
		.probe = probe_wp_holes,
		.needs = { FACT_UFFD_WP_ASYNC },
	},
	[FACT_PIDFD_GETFD] = {
		.name = "pidfd_getfd",
		.what = "a descriptor of another process can be taken (pidfd_getfd(2))",
		.probe = probe_pidfd_getfd,
	},
	[FACT_SOFT_DIRTY] = {
		.name = "soft_dirty",
		.what = "pagemap tells which pages were written since clear_refs",
		.probe = probe_soft_dirty,
	},
	[FACT_MAP_FILES] = {
		.name = "map_files",
		.what = "shared memory of a process can be opened (/proc/PID/map_files)",
		.probe = probe_map_files,
	},
	[FACT_VMA_LIST] = {
		.name = "vma_list",
		.what = "flags of a process's mappings without a look at its pages (BPF)",
		.probe = probe_vma_list,
	},
};
