/* SPDX-License-Identifier: MIT */
#include "plan/cost.h"

#define COST_F(x) COST_FROM_##x
#define COST_T(x) COST_TO_##x

/* clang-format off */
const struct cost_default cost_defaults[] = {
	{ "read-write", COST_F(FILE), COST_T(PIPE), { { 2500, 20000, 300000, 4800000 }, { 2500, 20000, 300000, 4800000 }, 900000, 400000 } },
};
/* clang-format on */
const unsigned cost_defaults_n = sizeof(cost_defaults) / sizeof(cost_defaults[0]);
