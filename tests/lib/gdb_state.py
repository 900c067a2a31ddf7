# SPDX-License-Identifier: MIT
"""Run by gdb on a core: everything that it says of the threads, as JSON.

    gdb -batch -x gdb_state.py EXE CORE
"""

import json

import gdb


def frames():
    found = []
    frame = gdb.newest_frame()
    while frame is not None and len(found) < 40:
        seen = {"name": frame.name(), "pc": frame.pc(), "locals": {}}
        try:
            block = frame.block()
            while block is not None and block.function is None:
                block = block.superblock
            for symbol in block or []:
                if symbol.is_variable or symbol.is_argument:
                    seen["locals"][symbol.name] = str(symbol.value(frame))
        except (RuntimeError, gdb.error):
            pass
        found.append(seen)
        frame = frame.older()
    return found


def registers():
    found = {}
    frame = gdb.newest_frame()
    for register in frame.architecture().registers():
        try:
            found[register.name] = str(frame.read_register(register))
        except (ValueError, gdb.error):
            pass
    return found


def state():
    threads = {}
    for thread in gdb.selected_inferior().threads():
        thread.switch()
        threads[thread.ptid[1]] = {"frames": frames(), "registers": registers()}
    return {
        "threads": threads,
        "auxv": gdb.execute("info auxv", to_string=True),
        "mappings": gdb.execute("info proc mappings", to_string=True),
        "libraries": gdb.execute("info sharedlibrary", to_string=True),
    }


print("STATE " + json.dumps(state()))
