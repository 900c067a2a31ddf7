/* SPDX-License-Identifier: MIT */
/*
 * Names of functions, by their place in an ELF file.  Not DWARF: the symbol
 * table is all that is read, and nothing in it is trusted.
 */
#ifndef POLICY_SYMBOLS_H
#define POLICY_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

/* "name+0x1f" of the byte at offset in the file; "" where there is none. */
void symbol_find(const char *path, uint64_t offset, char *ret, size_t size);

#endif
