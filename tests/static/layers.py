#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Layers: includes and calls point downward, and only src/sys talks to the
kernel.  Seen twice: in the #include lines, and in the symbols of the objects."""

import os
import re
import subprocess
import sys
import tempfile

import tree
import tap

# Lowest first; layers of one row know nothing of each other.
LAYERS = [["base", "uapi"], ["sys"], ["caps"], ["process"], ["image"], ["end"], ["engine"],
          ["route"], ["plan"], ["api"], ["capture", "policy", "dump", "serve"], ["predump", "wire"]]
RANK = {name: i for i, row in enumerate(LAYERS) for name in row}

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)

# What of libc, outside of src/sys, is no system call and allocates nothing.
LIBC = re.compile(r"""^(
    mem(cpy|move|set|cmp|chr|rchr|mem|pcpy)|bcmp|rawmemchr|explicit_bzero|
    (__isoc99_|__isoc23_)?(strto(u?ll?|d|umax|imax)|sscanf)|
    str(len|nlen|cmp|ncmp|casecmp|ncasecmp|chr|chrnul|rchr|str|spn|cspn|pbrk|tok_r|sep)|
    stpcpy|stpncpy|strcpy|strncpy|strcat|strerror(name_np|desc_np)?|sigabbrev_np|__ctype_\w+|
    v?snprintf|free|close|qsort|bsearch|abort|__assert_fail|getenv|secure_getenv|
    sig(empty|fill|add|del)set|sigismember|
    pthread_(mutex|cond|once|self|equal|rwlock|spin|key|setspecific|getspecific)\w*|
    getpid|sysconf|getauxval|        # they cannot fail as we use them
    __io_uring_get_cqe|              # behind an inline function of liburing
    __u?(div|mod)ti3|__tls_get_addr|__stack_chk_fail|__errno_location|_GLOBAL_OFFSET_TABLE_|
    protobuf_c_\w+|                  # with an allocator of ours
    http_\w+|inet_(ntop|pton)|       # pure
    seccomp_(init|release|attr_set|arch_\w+|rule_add|export_bpf)| # no calls but a write()
    (nettle_|XXH|ZSTD_)\w+|__\w+_chk)$""", re.X)
# base/ is below sys/ and has one file for this.
LIBC_ALLOC = re.compile(r"^(malloc|calloc|realloc|aligned_alloc)$")


def where(other, layer):
    """How `other` lies to `layer`, if it may not be used there."""
    if RANK[other] > RANK[layer]:
        return "above"
    return "beside" if RANK[other] == RANK[layer] and other != layer else None


def wrong_includes(root):
    found = []
    for path in tree.files(".c", ".h", under="src", root=root):
        layer = path.split("/")[1]
        if layer not in RANK:
            found.append(f"{path}: {layer} is no layer")
            continue
        for name in INCLUDE.findall(tree.read(path, root)):
            other = name.split("/")[0]
            if name == "decant.h":
                continue
            if other not in RANK or "/" not in name:
                found.append(f'{path}: "{name}" is not written layer/file.h')
            elif where(other, layer):
                found.append(f'{path}: "{name}" is {where(other, layer)} {layer}')
    for path in tree.files(".c", ".h", under="cli", root=root):
        for name in INCLUDE.findall(tree.read(path, root)):
            own = os.path.exists(os.path.join(root, "cli", name))
            if name != "decant.h" and not name.startswith("base/") and not own:
                found.append(f'{path}: "{name}" is not the public header, base/ or its own')
    for path in tree.files(".c", ".h", under="examples", root=root):
        for name in INCLUDE.findall(tree.read(path, root)):
            found.append(f'{path}: "{name}": an example has <decant.h> only')
    return found


def objects(archive):
    """{member: (defined symbols, undefined symbols)}"""
    text = subprocess.run(["nm", "-A", "-f", "posix", archive], stdout=subprocess.PIPE,
                          text=True, check=True).stdout
    found = {}
    for line in text.splitlines():
        if match := re.match(r".*?\[?([\w.-]+\.o)\]?: (\S+) (\w)", line):
            defined, undefined = found.setdefault(match[1], (set(), set()))
            (undefined if match[3] == "U" else defined).add(match[2])
    return found


def layer_of(member):
    return member.removeprefix("meson-generated_.._").split("_")[0]


def wrong_calls(members):
    """members: what objects() gives."""
    home = {name: member for member, (defined, _) in members.items() for name in defined}
    found = []
    for member, (_, undefined) in sorted(members.items()):
        layer = layer_of(member)
        for name in sorted(undefined):
            if name in home:
                if at := where(layer_of(home[name]), layer):
                    found.append(f"{member}: {name} of {home[name]} is {at} {layer}")
            elif layer != "sys" and not LIBC.match(name):
                if not (member == "base_alloc.c.o" and LIBC_ALLOC.match(name)):
                    found.append(f"{member}: {name}() belongs in src/sys")
    return found


def controls():
    with tempfile.TemporaryDirectory() as root:
        tree.write(root, "src/end/end.c", '#include "base/err.h"\n#include "route/route.h"\n')
        tree.write(root, "src/base/err.h", '#include "decant.h"\n')
        tree.write(root, "src/dump/dir.c", '#include "serve/date.h"\n#include "dump/dir.h"\n')
        tree.write(root, "src/extra/x.c", "\n")
        tree.write(root, "src/sys/io.c", '#include "file.h"\n')
        tree.write(root, "cli/main.c", '#include "cli.h"\n#include "sys/sys.h"\n')
        tree.write(root, "cli/cli.h", '#include "base/err.h"\n')
        tree.write(root, "examples/a.c", '#include "base/err.h"\n')
        found = wrong_includes(root)
    tap.equal(len(found), 6, "control: six planted includes are seen")
    members = {
        "base_err.c.o": ({"err_set"}, {"vsnprintf", "plan_choose"}),
        "sys_io.c.o": ({"sys_read"}, {"read"}),
        "plan_plan.c.o": ({"plan_choose"}, {"err_set", "sys_read", "write", "memcpy"}),
        "serve_date.c.o": ({"date_now"}, {"dir_close", "plan_choose"}),
        "dump_dir.c.o": ({"dir_close"}, {"err_set"}),
    }
    tap.equal(wrong_calls(members),
              ["base_err.c.o: plan_choose of plan_plan.c.o is above base",
               "plan_plan.c.o: write() belongs in src/sys",
               "serve_date.c.o: dir_close of dump_dir.c.o is beside serve"],
              "control: calls upward and sideways and a system call are seen")


def main():
    controls()
    tap.none(wrong_includes(tap.SOURCE), "includes point downward")
    members = objects(os.path.join(tap.BUILD, "src", "libdecant_internal.a"))
    tap.ok(len(members) > 10, "the library has objects", f"{len(members)} of them")
    tap.none(wrong_calls(members), "calls point downward, and only src/sys calls the kernel")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
