/* SPDX-License-Identifier: MIT */
/*
 * File systems to test on: loop-mounted ext4, xfs and btrfs, tmpfs of a size.
 * Not left behind: all of it lives in a mount namespace of this process, on
 * images without a name, so that even SIGKILL leaves only an empty directory.
 */
#ifndef LIB_FS_H
#define LIB_FS_H

#include <stdint.h>

enum fs_kind { FS_TMPFS, FS_EXT4, FS_XFS, FS_BTRFS, FS_KINDS };

extern const char *const fs_names[FS_KINDS];

/*
 * Before any thread is started: an own mount namespace and a directory of its
 * own on a tmpfs.  Needs root; dies without.
 */
void fs_start(void);

/* A directory on such a file system, made at the first call.  Static. */
const char *fs_dir(enum fs_kind kind);
/* A new, small one each time: to run full.  The string is the caller's. */
char *fs_small(enum fs_kind kind, uint64_t size_mb);
/* Take a file system of fs_small() away again; frees the string. */
void fs_drop(char *dir);

/* A new file, already unlinked unless ret_path is wanted (caller frees). */
int fs_file(enum fs_kind kind, char **ret_path);
/* The same, with len bytes of the pattern's old generation. */
int fs_pattern_file(enum fs_kind kind, uint64_t len, char **ret_path);
/* Throw the file's pages out of the page cache. */
void fs_cold(int fd);

#endif
