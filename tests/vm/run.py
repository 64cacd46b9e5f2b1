#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run a choice of the system tests under each kernel of scripts/vm, and print a table.

Exit status: 0 when nothing failed, 1 when something did. A kernel that cannot be fetched is skipped, by name.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
VM = os.path.join(ROOT, "scripts", "vm")
SYSTEM_TESTS = os.path.join(ROOT, "tests", "system", "run.py")
SLOWNESS = 10  # of emulation
LIMIT = 1800  # seconds for all tests under one kernel

# What depends on the kernel: probes on every call, processes that come and go, stacks, tables, maps.
TESTS = [
    "books.glibc[every]", "books.glibc[fork]", "books.glibc[exec]", "books.glibc[threads]", "books.glibc[signals]",
    "books.variant[books-static]", "books.attached[books]", "deep.", "tables.", "maps.book", "maps.absurd",
]


def run_under(kernel, build, patterns):
    """Run the tests under a kernel, showing their lines as they come. Returns {name: (outcome, reason)} and how the
    machine ended: a text, or None when the tests came to their end."""
    # The tests keep leaktrace's cache in the build folder, which cannot be written there.
    cache = os.path.join(build, "cache")
    os.makedirs(cache, exist_ok=True)
    run = [SYSTEM_TESTS, "--build", build, *patterns]
    command = f"mount -t tmpfs cache {shlex.quote(cache)} && exec {shlex.join(run)}"
    results = {}
    # setpriv: whatever ends this script ends the machine.
    with subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", VM, "--timeout", str(LIMIT), kernel, "--",
         "env", f"LEAKTOP_TEST_SLOWNESS={SLOWNESS}", "sh", "-c", command],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace", cwd=ROOT,
    ) as machine:
        for line in machine.stdout:
            print(f"{kernel}: {line}", end="", flush=True)
            match = re.match(r"(ok|FAIL|skip) (\S+?\[.*?\]|[^\s:]+)[:\s](.*)", line)
            if match:
                results[match[2]] = (match[1], match[3].strip())
    if machine.returncode in (0, 1):
        return results, None
    ends = {124: f"not done within {LIMIT} s", 125: "the machine died"}
    return results, ends.get(machine.returncode, f"ended with {machine.returncode}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), help="the build folder (default: build)")
    parser.add_argument("--kernel", action="append", help="one of scripts/vm --list; can be repeated (default: all)")
    parser.add_argument("pattern", nargs="*", default=TESTS, help="the tests, by a part of their names")
    options = parser.parse_args()
    build = os.path.abspath(options.build)

    listed = subprocess.run([VM, "--list"], stdout=subprocess.PIPE, text=True, check=True).stdout
    kernels = options.kernel or [line.split()[0] for line in listed.splitlines()]
    names = subprocess.run(
        [SYSTEM_TESTS, "--build", build, "--list", *options.pattern], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.splitlines()
    if not names:
        print("vm/run.py: no test has such a name", file=sys.stderr)
        return 1

    table, notes, failed = {}, [], False
    for kernel in kernels:
        if subprocess.run([VM, "--fetch", kernel], stdin=subprocess.DEVNULL, check=False).returncode:
            table[kernel] = {name: "skip" for name in names}
            notes.append(f"skip {kernel}: it cannot be fetched")
            continue
        results, end = run_under(kernel, build, options.pattern)
        # A test without a result is one that the machine did not get to, or ended in.
        lost = ("FAIL", end or "no result")
        outcomes = {name: results.get(name, lost) for name in names}
        table[kernel] = {name: outcome for name, (outcome, _) in outcomes.items()}
        notes += [f"{o} {kernel}, {name}: {reason}" for name, (o, reason) in outcomes.items() if o != "ok"]
        failed = failed or end is not None or "FAIL" in table[kernel].values()

    width = max(map(len, names))
    print("\n" + "  ".join([" " * width, *kernels]))
    for name in names:
        print("  ".join([name.ljust(width), *(table[kernel][name].ljust(len(kernel)) for kernel in kernels)]))
    print("\n".join(["", *notes]) if notes else "")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
