# SPDX-License-Identifier: MIT
"""CRIU's memory images, read and written by nothing but this file: an oracle for
what the program reads and writes.  Not complete: only what tests need."""

import os
import struct

PAGE = 4096
PARENT, LAZY, PRESENT = 1, 2, 4
COMMON, PAGEMAP, INVENTORY = 0x54564319, 0x56084025, 0x58313116
SERVICE, STATS, NOTE = 0x55105940, 0x57093306, 0xdeca0002


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def number(field, value):
    return varint(field << 3) + varint(value)


def blob(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


def record(body):
    return struct.pack("<I", len(body)) + body


def fields(body):
    """[(field, value)] of a message: numbers, or bytes."""
    at, out = 0, []

    def take():
        nonlocal at
        value = shift = 0
        while True:
            byte = body[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(body):
        key = take()
        if key & 7 == 0:
            out.append((key >> 3, take()))
        elif key & 7 == 2:
            length = take()
            assert at + length <= len(body)
            out.append((key >> 3, body[at:at + length]))
            at += length
        else:
            raise ValueError(f"wire type {key & 7}")
    return out


def records(path, *magics):
    """The records of a file, as lists of fields."""
    with open(path, "rb") as file:
        data = file.read()
    assert struct.unpack_from(f"<{len(magics)}I", data) == magics, path
    at, out = 4 * len(magics), []
    while at < len(data):
        length, = struct.unpack_from("<I", data, at)
        assert at + 4 + length <= len(data), path
        out.append(fields(data[at + 4:at + 4 + length]))
        at += 4 + length
    return out


# ----------------------------------------------------------------- writing


def entry(vaddr, pages, flags, old=False):
    if old:
        return record(number(1, vaddr) + number(2, pages) +
                      (number(3, 1) if flags & PARENT else b""))
    return record(number(1, vaddr) + number(2, pages) + number(4, flags) + number(5, pages))


def write_pagemap(directory, pid, pages_id, entries, pages, old=False):
    """entries: [(vaddr, pages, flags)]; pages: the bytes of what is PRESENT."""
    with open(os.path.join(directory, f"pagemap-{pid}.img"), "wb") as file:
        file.write(struct.pack("<II", COMMON, PAGEMAP) + record(number(1, pages_id)))
        for each in entries:
            file.write(entry(*each, old=old))
    with open(os.path.join(directory, f"pages-{pages_id}.img"), "wb") as file:
        file.write(pages)


def write_inventory(directory, uptime=1000):
    with open(os.path.join(directory, "inventory.img"), "wb") as file:
        file.write(struct.pack("<I", INVENTORY) +
                   record(number(1, 2) + number(8, uptime) + number(9, 2)))


def write_note(directory, pid, mappings, elf, machine=62):
    """mappings: [(start, end, flags, name)]; elf: the bytes of the notes."""
    head = number(1, 1) + number(2, pid) + number(4, PAGE) + number(5, machine)
    with open(os.path.join(directory, f"decant-{pid}.img"), "wb") as file:
        file.write(struct.pack("<II", COMMON, NOTE) + record(blob(1, head)))
        for start, end, flags, name in mappings:
            body = number(1, start) + number(2, end) + number(3, flags)
            file.write(record(blob(2, body + (blob(8, name) if name else b""))))
        for at in range(0, len(elf), 100000):
            file.write(record(blob(3, elf[at:at + 100000])))
        file.write(record(blob(4, number(1, len(mappings)) + number(2, len(elf)))))


# ----------------------------------------------------------------- reading


def read_pagemap(directory, name):
    """(pages_id, [(vaddr, pages, flags)]) of a file that has both counts."""
    head, *entries = records(os.path.join(directory, name), COMMON, PAGEMAP)
    out = []
    for each in map(dict, entries):
        assert each[2] == min(each[5], 0xffffffff), "both counts are written"
        out.append((each[1], each[5], each[4]))
    return dict(head)[1], out


def pages_of(directory, pid):
    """{address: bytes} of a process, with what is in parents."""
    pages_id, entries = read_pagemap(directory, f"pagemap-{pid}.img")
    out, parent, offset = {}, None, 0
    with open(os.path.join(directory, f"pages-{pages_id}.img"), "rb") as file:
        data = file.read()
    for vaddr, count, flags in entries:
        for i in range(count):
            at = vaddr + i * PAGE
            if flags & PRESENT:
                out[at] = data[offset:offset + PAGE]
                offset += PAGE
            elif flags & PARENT:
                if parent is None:
                    parent = pages_of(os.path.join(directory, "parent"), pid)
                out[at] = parent[at]
    assert offset == len(data)
    return out
