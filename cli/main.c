/* SPDX-License-Identifier: MIT */
/* The command table of decant(1).  What a command does is in its cmd_*.c. */
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
