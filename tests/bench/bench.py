#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What leaktrace costs, beside what cannot be undercut and what others cost.

Times drift on a shared machine, so every round runs each contender once, one after the other, and what is compared is
the median of the ratios within rounds. Prints whether each bar is met or MISSED; the exit status is 0 all the same.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "system"))

import harness  # noqa: E402

PAIRS = 100000
RATIO_TO_SITES = 1.6
RATIO_TO_ENTRY = 1 / 3
SITES = 10000
EVENTS = 10000000
MEMORY_GROWTH = 1.05


def start_nothing(t, pid):
    return None


def start_empty_probes(where):
    def start(t, pid):
        helper = t.start(os.path.join(harness.BUILD, "tests", "empty_probes"), where, str(pid))
        harness.expect_line(helper, "ready")
        return helper

    return start


def start_leaktrace(t, pid):
    return t.attach(pid)


LOOP_CONTENDERS = (
    ("untraced", start_nothing),
    ("empty probes at function entry", start_empty_probes("--entry")),
    ("empty probes at our sites", start_empty_probes("--sites")),
    ("leaktrace", start_leaktrace),
)


def time_loop(t, start):
    """Nanoseconds of a malloc+free pair under one contender: the better of two, after a warm-up."""
    target = t.start(harness.fixture("alloc_loop"), str(PAIRS))
    harness.expect_line(target, "ready")
    tracer = start(t, target.pid)
    times = []
    for _ in range(3):
        harness.tell(target)
        times.append(float(target.stdout.readline()))
    if tracer:
        if tracer.stdin:
            tracer.stdin.close()
        else:
            tracer.terminate()
        tracer.wait(30)
    target.stdin.close()
    target.wait(10)
    return min(times[1:])


def time_command(t, *command):
    """Seconds that a command takes with the SQLite script as its input, from its start to its end."""
    with open(os.path.join(HERE, "sqlite.sql")) as script:
        start = time.monotonic()
        done = t.run(*command, stdin=script, timeout=300, cwd=t.folder)
        seconds = time.monotonic() - start
    assert done.status == 0, f"{command[0]} ended with {done.status}: {done.err}"
    return seconds


def sqlite_contenders():
    sqlite = (harness.tool("sqlite3"), ":memory:")
    yield "untraced", sqlite
    yield "leaktrace", (harness.leaktrace_path(), "--", *sqlite)
    for name, command in (
        ("heaptrack", ("heaptrack", "--output", "trace")),
        ("valgrind", ("valgrind", "--quiet", "--leak-check=no")),
    ):
        if shutil.which(command[0]):
            yield name, (shutil.which(command[0]), *command[1:], *sqlite)
        else:
            print(f"  {name}: not installed (scripts/deps.sh test)")


def rounds_of(contenders, count, measure):
    """Run every contender once in each round. Returns the numbers by name, in the order of the rounds."""
    numbers = {name: [] for name, _ in contenders}
    for _ in range(count):
        for name, contender in contenders:
            with harness.Context() as t:
                numbers[name].append(measure(t, contender))
    return numbers


def ratio(numbers, name, to):
    """The median, over the rounds, of one contender's number divided by another's."""
    return statistics.median(a / b for a, b in zip(numbers[name], numbers[to]))


def say_bar(what, value, bar, unit=""):
    print(f"  {what}: {value:.2f}{unit} (bar: at most {bar:.2f}{unit}): {'met' if value <= bar else 'MISSED'}")


def bench_loop(rounds):
    print(f"malloc+free pairs, 3 frames deep, ns a pair; median (lowest to highest) of {rounds} interleaved rounds")
    contenders = LOOP_CONTENDERS
    if not os.path.exists(os.path.join(harness.BUILD, "tests", "empty_probes")):
        print("  empty probes: their helper is not built")
        contenders = tuple(c for c in contenders if not c[0].startswith("empty"))
    numbers = rounds_of(contenders, rounds, time_loop)
    for name, values in numbers.items():
        print(f"  {name:32} {statistics.median(values):10.1f}   ({min(values):.1f} to {max(values):.1f})")
    if len(contenders) == len(LOOP_CONTENDERS):
        say_bar("leaktrace to empty probes at our sites", ratio(
            numbers, "leaktrace", "empty probes at our sites"), RATIO_TO_SITES)
        say_bar("leaktrace to empty probes at function entry", ratio(
            numbers, "leaktrace", "empty probes at function entry"), RATIO_TO_ENTRY)


def bench_sqlite(rounds):
    print(f"\nSQLite script, about 400,000 allocations, seconds of the whole command; median of {rounds} rounds")
    contenders = list(sqlite_contenders())
    numbers = rounds_of(contenders, rounds, lambda t, command: time_command(t, *command))
    for name, values in numbers.items():
        times = ratio(numbers, name, "untraced")
        print(f"  {name:32} {statistics.median(values):10.2f}   ({times:.1f} times untraced)")


def memory_of(pid):
    """Resident memory of a process, in KiB."""
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1))


def bench_memory():
    steps = 10
    print(f"\nleaktrace's own memory over {EVENTS / 1e6:.0f} million allocator calls at {SITES} sites")
    with harness.Context() as t:
        target = t.start(harness.fixture("many_sites"), str(SITES), str(EVENTS // steps))
        harness.expect_line(target, "ready")
        # As many samples as can be had: what grows by the sample shows as well as what grows by the call.
        tracer = t.attach(target.pid, "--interval", "0.01", "--max-stacks", str(2 * SITES))
        memory = []
        for _ in range(steps):
            harness.tell(target)
            harness.expect_line(target, "done")
            memory.append(memory_of(tracer.pid))
        report = t.end_leaktrace(tracer)
    print("  MiB resident after each tenth:", " ".join(f"{kib / 1024:.1f}" for kib in memory))
    print(f"  {len(report.sites)} sites, {report.totals['allocations']} allocations seen, lost: {report.lost}")
    # The first tenth fills the series of every site; from there on nothing may grow.
    say_bar("last to second tenth", memory[-1] / memory[1], MEMORY_GROWTH)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--build", default=os.environ.get("BUILD"), help="the build folder (default: build)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is run (default: 5)")
    parser.add_argument("part", nargs="*", choices=["loop", "sqlite", "memory", []], help="only these parts")
    options = parser.parse_args()
    if options.build:
        harness.BUILD = os.path.abspath(options.build)
    problem = harness.cannot_run()
    if problem:
        print(f"bench.py: {problem}", file=sys.stderr)
        return 2
    parts = options.part or ["loop", "sqlite", "memory"]
    try:
        if "loop" in parts:
            bench_loop(options.rounds)
        if "sqlite" in parts:
            bench_sqlite(min(options.rounds, 3))
        if "memory" in parts:
            bench_memory()
    except harness.Skip as missing:
        print(f"bench.py: {missing}", file=sys.stderr)
    except (AssertionError, subprocess.TimeoutExpired) as failure:
        print(f"bench.py: {failure}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
