/* SPDX-License-Identifier: MIT */
/*
 * All routes, in the planner's order of preference at equal cost: the better
 * guarantee first, then fewer copies, then what asks less of the machine.
 */
#include "route/routes.h"

const struct route *const route_table[] = {
	/* Stable, no copy. */
	&route_reflink,
	&route_map_zc,
	&route_map_msgzc,
	&route_zc,
	&route_msgzc,
	&route_direct,
	&route_direct_memory,
	&route_direct_zc,
	&route_direct_splice,
	&route_direct_splice_pipe,
	&route_clone_sendfile,
	&route_null,
	/* Stable, one copy. */
	&route_copy_range,
	&route_map_send,
	&route_map_write,
	&route_send,
	&route_write,
	&route_read_memory,
	&route_splice_file,
	&route_recv_splice,
	&route_recv_direct,
	&route_read_zc,
	/* Live, no copy; stable where the source cannot change. */
	&route_sendfile,
	&route_splice,
	&route_splice_pipe,
	&route_splice_stream,
	&route_vmsplice,
	/* Stable, two copies. */
	&route_read_send,
	&route_read_write,
};
const unsigned route_table_n = sizeof(route_table) / sizeof(route_table[0]);
