# SPDX-License-Identifier: GPL-2.0-or-later
"""What leaktrace costs a real program, beside other tools, and what memory it takes itself."""

import json
import os
import re
import shutil
import statistics
import time

import harness
from measure import HERE, frames_of, ratio, rounds_of, say_bar

RATIO_TO_HEAPTRACK = 1.5
SITES = 10000
EVENTS = 10000000
MEMORY_GROWTH = 1.05
REPORT = "report.json"


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
    yield "leaktrace", (harness.leaktrace_path(), "--json", REPORT, "--", *sqlite)
    for name, command in (
        ("heaptrack", ("heaptrack", "--output", "trace")),
        ("valgrind", ("valgrind", "--quiet", "--leak-check=no")),
    ):
        if shutil.which(command[0]):
            yield name, (shutil.which(command[0]), *command[1:], *sqlite)
        else:
            print(f"  {name}: not installed (scripts/deps.sh test)")


def say_stacks(report):
    """How deep the recorded stacks were: nobody is to take the price of cut ones for that of whole ones."""
    sites = report.sites
    allocations = sum(site["allocations"] for site in sites)
    frames = sum(site["allocations"] * len(frames_of(site)) for site in sites)
    complete = sum(site["allocations"] for site in sites if site["complete"])
    print(f"  leaktrace's stacks: {frames / allocations:.1f} frames on average over {allocations} allocations at"
          f" {len(sites)} sites, {complete / allocations:.2%} of them complete")


def bench_sqlite(rounds):
    print(f"\nSQLite script, about 400,000 allocations, seconds of the whole command; median of {rounds} rounds")
    contenders = list(sqlite_contenders())
    reports = []

    def measure(t, command):
        seconds = time_command(t, *command)
        if REPORT in command:
            with open(t.path(REPORT)) as file:
                reports.append(harness.Report(json.load(file)))
        return seconds

    numbers = rounds_of(contenders, rounds, measure)
    for name, values in numbers.items():
        times = ratio(numbers, name, "untraced")
        print(f"  {name:32} {statistics.median(values):10.2f}   ({times:.1f} times untraced)")
    say_stacks(reports[-1])
    if "heaptrack" in numbers:
        say_bar("leaktrace to heaptrack", ratio(numbers, "leaktrace", "heaptrack"), RATIO_TO_HEAPTRACK)


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
