# SPDX-License-Identifier: MIT
"""Run by gdb on a core of CPython 3.11: the functions that its main thread is in,
read from the interpreter's own structures as py-bt does.

    gdb -batch -x gdb_python.py /usr/bin/python3.11 CORE
"""

import struct

import gdb

memory = gdb.selected_inferior().read_memory

# Offsets of CPython 3.11.
INTERPRETERS_HEAD, THREADS_HEAD, CFRAME, CURRENT = 40, 16, 56, 8
CODE, PREVIOUS, CO_NAME, TEXT_LENGTH, TEXT = 32, 48, 120, 16, 48


def pointer(address):
    return struct.unpack("<Q", memory(address, 8))[0]


def text(address):
    return bytes(memory(address + TEXT, pointer(address + TEXT_LENGTH))).decode()


def main():
    runtime = int(gdb.parse_and_eval("(long)&_PyRuntime"))
    thread = pointer(pointer(runtime + INTERPRETERS_HEAD) + THREADS_HEAD)
    while pointer(thread + 8):
        thread = pointer(thread + 8)
    frame = pointer(pointer(thread + CFRAME) + CURRENT)
    while frame:
        print("PYTHON", text(pointer(pointer(frame + CODE) + CO_NAME)))
        frame = pointer(frame + PREVIOUS)


main()
