# SPDX-License-Identifier: GPL-2.0-or-later
"""What it takes to get ready for walking stacks: making the unwind rows of files, and attaching to a process."""

import glob
import json
import os
import re
import shutil
import statistics
import time

import harness
from measure import helper, say_bar

CACHE = "XDG_CACHE_HOME"
BIG = 50 << 20  # bytes of a C++ file that is worth measuring
MAPPINGS = 100
ATTACH_COLD = 2  # seconds
ATTACH_WARM = 0.3

# Loads libraries until so many files with code are mapped.
LOADER = """
import ctypes, os, sys
def mapped():
    with open("/proc/self/maps") as maps:
        return len({line.split()[4] for line in maps if " r-xp " in line and line.split()[4] != "0"})
for path in sys.argv[2:]:
    if mapped() >= int(sys.argv[1]):
        break
    try:
        ctypes.CDLL(path)
    except OSError:
        pass
print(mapped(), flush=True)
sys.stdin.readline()
"""
# Libraries that do something when they are loaded: allocators, tracers, sanitizers, starters of threads.
NOT_LOADED = r"san\.|alloc|profil|memusage|pcprofile|SegFault|heaptrack|preload|blas|cuda|nvidia|omp|OpenCL|python"


def linked_with(program):
    """The files that a program is linked with."""
    with harness.Context() as t:
        return re.findall(r"=> (/\S+)", t.run("ldd", program).out)


def files_to_read():
    """The C library, Python's, and the largest two C++ libraries that clang brings."""
    python = sorted(glob.glob("/usr/lib/*/libpython3*.so.1.0")) or [shutil.which("python3")]
    clang = sorted(linked_with(harness.tool("clang")), key=os.path.getsize)
    big = [path for path in clang if os.path.getsize(path) >= BIG]
    libc = [path for path in linked_with(harness.leaktrace_path()) if "/libc.so" in path]
    return [os.path.realpath(path) for path in (*libc, python[-1], *big)]


def bytes_below(folder):
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(folder) for name in names)


def time_rows(path):
    """What the helper says about a file, once, with an empty cache; and the bytes that the cache then has."""
    with harness.Context() as t:
        done = t.run(helper("unwind_rows"), path, env={CACHE: t.folder})
        assert done.status == 0, f"unwind_rows {path} ended with {done.status}: {done.err}"
        return {**json.loads(done.out), "cached": bytes_below(t.folder)}


def bench_rows(rounds):
    print(f"\nUnwind rows of a file, ms; median of {rounds} rounds")
    if not helper("unwind_rows"):
        print("  their helper is not built")
        return
    print(f"  {'file':24} {'MiB':>6} {'build':>8} {'uncached':>8} {'cached':>8} {'rows':>9} {'rules':>6} {'MiB':>6}"
          f" {'on disk':>8}")
    for path in files_to_read():
        runs = [time_rows(path) for _ in range(rounds)]
        one = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        print(f"  {os.path.basename(path):24} {os.path.getsize(path) / 2**20:6.1f} {one['build_ms']:8.1f}"
              f" {one['cold_ms']:8.1f} {one['warm_ms']:8.1f} {one['rows']:9.0f} {one['rules']:6.0f}"
              f" {one['bytes'] / 2**20:6.2f} {one['cached'] / 2**20:8.2f}")


def libraries_to_load():
    """Libraries of this machine, from small to large by turns, the same ones every time."""
    folder = os.path.dirname(linked_with(harness.leaktrace_path())[0])
    paths = {os.path.realpath(path) for path in glob.glob(os.path.join(folder, "lib*.so.*"))}
    paths = sorted((os.path.getsize(path), path) for path in paths if not re.search(NOT_LOADED, path))
    step = max(1, len(paths) // MAPPINGS)
    return [path for first in range(step) for _, path in paths[first::step]]


def time_attach(target, cache):
    """Seconds from the start of leaktrace until tracing has begun."""
    with harness.Context() as t:
        start = time.monotonic()
        tracer = t.attach(target.pid, env={CACHE: cache})
        seconds = time.monotonic() - start
        t.end_leaktrace(tracer)
        return seconds


def bench_attach(rounds):
    print(f"\nSeconds to attach to a process with {MAPPINGS} mapped files with code; median of {rounds} rounds")
    cold, warm = [], []
    with harness.Context() as t:
        target = t.start(harness.tool("python3"), "-c", LOADER, str(MAPPINGS), *libraries_to_load())
        mapped = int(target.stdout.readline())
        with open(f"/proc/{target.pid}/maps") as maps:
            code = [line.split() for line in maps if " r-xp " in line and line.split()[4] != "0"]
        size = sum(os.path.getsize(path) for path in {fields[5] for fields in code})
        print(f"  {mapped} files, {size / 2**20:.0f} MiB")
        for number in range(rounds):
            cache = t.path(f"cache-{number}")
            cold.append(time_attach(target, cache))
            warm.append(time_attach(target, cache))
        harness.tell(target)
    say_bar("without cached rows", statistics.median(cold), ATTACH_COLD, " s")
    say_bar("with cached rows", statistics.median(warm), ATTACH_WARM, " s")
