# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory that programs map by themselves: exact books, and an end in time however fast the maps change."""

import re
import time

from harness import cases, expect_line, fixture, limit

MAPS = ("--domain", "heap,mmap")


def mapped(report, belongs=lambda site: True):
    return report.sum(lambda site: site["domain"] == "mmap" and belongs(site))


def of_program(site):
    return any(frame["module"].endswith("/maps") for frame in site["frames"])


def test_book(t):
    """Unmapped at the end, in the middle and across a hole; moved and grown; mapped over; a break up and down."""
    done = t.leaktrace(*MAPS, "--", fixture("maps"), "book")
    expected = int(re.search(r"^mapped (\d+)$", done.out, re.MULTILINE).group(1))
    counts = mapped(done.report, of_program)
    assert counts["live_bytes"] == expected, f"{counts['live_bytes']} bytes are live, not {expected}: {counts}"


def test_absurd(t):
    """An unmapping that the kernel refuses changes nothing, whatever its length."""
    report = t.leaktrace(*MAPS, "--", fixture("maps"), "absurd").report
    counts = mapped(report, of_program)
    assert counts["live_bytes"] == counts["allocated_bytes"] == 100 * 4096, counts
    assert counts["frees"] == 0, counts
    assert mapped(report)["live_bytes"] < 100 << 20, mapped(report)


@limit(40)
@cases("map-loop", "load-loop")
def test_ends_in_time(t, mode):
    """More changes than can be followed: --duration is kept, and so is the program."""
    target = t.start(fixture("maps"), mode)
    expect_line(target, "ready")
    start = time.monotonic()
    t.leaktrace("--pid", target.pid, "--duration", 2, *MAPS, timeout=30)
    seconds = time.monotonic() - start
    assert seconds < 12, f"--duration 2 took {seconds:.1f} s"
    assert target.poll() is None, f"the program ended with {target.returncode}"
