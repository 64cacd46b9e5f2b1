#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What leaktrace costs, beside what cannot be undercut and what others cost.

Times drift on a shared machine, so every round runs each contender once, one after the other, and what is compared is
the median of the ratios within rounds. Prints whether each bar is met or MISSED; the exit status is 0 all the same.
"""

import argparse
import os
import subprocess
import sys

sys.dont_write_bytecode = True

import measure  # noqa: E402, F401: it makes the harness known
import harness  # noqa: E402
from loops import bench_depth, bench_loop  # noqa: E402
from programs import bench_memory, bench_sqlite  # noqa: E402
from unwinding import bench_attach, bench_rows  # noqa: E402

PARTS = {
    "loop": bench_loop,
    "depth": bench_depth,
    "sqlite": lambda rounds: bench_sqlite(min(rounds, 3)),
    "rows": bench_rows,
    "attach": lambda rounds: bench_attach(min(rounds, 3)),
    "memory": lambda rounds: bench_memory(),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--build", default=os.environ.get("BUILD"), help="the build folder (default: build)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is run (default: 5)")
    parser.add_argument("part", nargs="*", choices=[*PARTS, []], help="only these parts")
    options = parser.parse_args()
    if options.build:
        harness.BUILD = os.path.abspath(options.build)
    problem = harness.cannot_run()
    if problem:
        print(f"bench.py: {problem}", file=sys.stderr)
        return 2
    for name, bench in PARTS.items():
        if options.part and name not in options.part:
            continue
        try:
            bench(options.rounds)
        except (harness.Skip, AssertionError, subprocess.TimeoutExpired) as failure:
            print(f"bench.py: {name}: {failure}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
