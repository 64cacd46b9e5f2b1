# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls of allocators that end by an exception or a jump: the program survives, and what follows is counted."""

import re

from harness import cases, fixture, has_frame


@cases("throw_limit", "throw_limit-jemalloc", "throw_limit-tcmalloc", "throw_limit-own-new")
def test_bad_alloc(t, program):
    """operator new throws, and the exception finds its handler as it would without us."""
    done = t.leaktrace("--", fixture(program))
    assert re.search(r"^caught 50$", done.out, re.MULTILINE), f"{done.out!r}, {done.err[-300:]!r}"
    assert "exited with status" not in done.err and "killed" not in done.err, done.err[-300:]


def test_jump_out(t):
    """A call that a signal handler jumped out of is not taken for one that later calls are part of."""
    report = t.leaktrace("--", fixture("jump_out")).report
    counts = report.sum(lambda site: has_frame(site, r"^leak$"))
    assert counts["live_blocks"] == 1000 and counts["live_bytes"] == 1000000, counts
