# SPDX-License-Identifier: GPL-2.0-or-later
"""What a call of the allocator costs, in a loop that does nothing else, and what a frame of its stack adds to it."""

import statistics

import harness
from measure import frames_of, helper, ratio, rounds_of, say_bar

PAIRS = 100000
RATIO_TO_SITES = 1.6
RATIO_TO_ENTRY = 1 / 3
DEPTHS = (3, 15, 50)


def start_nothing(t, pids):
    return []


def start_empty_probes(where):
    def start(t, pids):
        helpers = [t.start(helper("empty_probes"), where, str(pid)) for pid in pids]
        for probes in helpers:
            harness.expect_line(probes, "ready")
        return helpers

    return start


def start_leaktrace(t, pids):
    others = [argument for pid in pids[1:] for argument in ("--pid", pid)]
    return [t.attach(pids[0], *others)]


LOOP_CONTENDERS = (
    ("untraced", start_nothing),
    ("empty probes at function entry", start_empty_probes("--entry")),
    ("empty probes at our sites", start_empty_probes("--sites")),
    ("leaktrace", start_leaktrace),
)
DEPTH_CONTENDERS = tuple(c for c in LOOP_CONTENDERS if "entry" not in c[0])


def built(contenders):
    """Those of the contenders that can be run."""
    if helper("empty_probes"):
        return contenders
    print("  empty probes: their helper is not built")
    return tuple(c for c in contenders if not c[0].startswith("empty"))


def time_loops(t, start, *commands):
    """Run loops by turns under one contender. Returns, of each, the nanoseconds of a malloc+free pair (the better of
    two, after a warm-up) and its process; and leaktrace's report.
    """
    targets = [t.start(*command) for command in commands]
    for target in targets:
        harness.expect_line(target, "ready")
    tracers = start(t, [target.pid for target in targets])
    times = [[] for _ in targets]
    for _ in range(3):
        for target, own in zip(targets, times):
            harness.tell(target)
            own.append(float(target.stdout.readline()))
    report = None
    if start is start_leaktrace:
        report = t.end_leaktrace(tracers[0])
    else:
        for tracer in tracers:
            tracer.stdin.close()
            tracer.wait(30)
    for target in targets:
        target.stdin.close()
        target.wait(10)
    return [min(own[1:]) for own in times], [target.pid for target in targets], report


def bench_loop(rounds):
    print(f"malloc+free pairs, 3 frames deep, ns a pair; median (lowest to highest) of {rounds} interleaved rounds")
    contenders = built(LOOP_CONTENDERS)
    command = (harness.fixture("alloc_loop"), str(PAIRS))
    numbers = rounds_of(contenders, rounds, lambda t, start: time_loops(t, start, command)[0][0])
    for name, values in numbers.items():
        print(f"  {name:32} {statistics.median(values):10.1f}   ({min(values):.1f} to {max(values):.1f})")
    if len(contenders) == len(LOOP_CONTENDERS):
        say_bar("leaktrace to empty probes at our sites", ratio(
            numbers, "leaktrace", "empty probes at our sites"), RATIO_TO_SITES)
        say_bar("leaktrace to empty probes at function entry", ratio(
            numbers, "leaktrace", "empty probes at function entry"), RATIO_TO_ENTRY)


def say_depth(depth, times, site):
    """One line: how deep, as the fixture and as leaktrace have it, and the time of each contender."""
    frames = len(frames_of(site))
    # main and what calls it come on top: fewer than asked for means that a cut stack was measured.
    cut = "" if site["complete"] and frames > depth else f"   CUT: {site['stack_end']}"
    columns = "".join(f"{time:28.1f}" for time in times.values())
    print(f"  {depth:5}{frames:8}{columns}{(times['leaktrace'] - times['untraced']) / 2:14.1f}{cut}")


def say_slope(name, times, near, far):
    """What one frame more adds: the median, over the rounds, of the slope between two depths."""
    slopes = [(row[far] - row[near]) / (DEPTHS[far] - DEPTHS[near]) for row in times]
    print(f"  ns a frame between {DEPTHS[near]} and {DEPTHS[far]}, {name}: {statistics.median(slopes):.1f}"
          f"   ({min(slopes):.1f} to {max(slopes):.1f})")


def bench_depth(rounds):
    print(f"\nThe same without frame pointers, ns a pair (one stack walked) by depth; median of {rounds} rounds")
    contenders = built(DEPTH_CONTENDERS)
    print(f"  depth  frames{''.join(f'{name:>28}' for name, _ in contenders)}  added a call")
    commands = [(harness.fixture("deep_loop"), str(PAIRS), str(depth)) for depth in DEPTHS]
    sites = []

    def measure(t, start):
        times, pids, report = time_loops(t, start, *commands)
        if report:
            sites[:] = [max((site for site in report.sites if site["pid"] == pid),
                            key=lambda site: site["allocations"]) for pid in pids]
        return times

    numbers = rounds_of(contenders, rounds, measure)
    for i, depth in enumerate(DEPTHS):
        medians = {name: statistics.median(row[i] for row in times) for name, times in numbers.items()}
        say_depth(depth, medians, sites[i])
    for near in range(len(DEPTHS) - 1):
        say_slope("leaktrace", numbers["leaktrace"], near, near + 1)
    say_slope("leaktrace", numbers["leaktrace"], 0, len(DEPTHS) - 1)
    # Nothing there depends on the depth: how far this one is from 0 is how much to trust the others.
    for name in numbers:
        if name.startswith("empty"):
            say_slope(name, numbers[name], 0, len(DEPTHS) - 1)
