# SPDX-License-Identifier: GPL-2.0-or-later
"""What the benchmarks share: interleaved rounds, ratios within them, and how a bar is printed."""

import os
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "system"))

import harness  # noqa: E402


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


def helper(name):
    """The path of a program that is built from this folder; None when it is not built."""
    path = os.path.join(harness.BUILD, "tests", name)
    return path if os.path.exists(path) else None


def frames_of(site):
    """The frames that are on the stack, without inlined calls."""
    return [frame for frame in site["frames"] if not frame["inlined"]]
