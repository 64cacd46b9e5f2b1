# SPDX-License-Identifier: GPL-2.0-or-later
"""The walk of stacks in the kernel alone: rules, stacks and registers made by hand (tests/walker)."""

import os
import re

import harness
from harness import Skip


def test_walker(t):
    """Each kind of rule leads to exactly the callers that it says, and each walk ends for the right reason."""
    if tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) < (5, 17):
        raise Skip("stacks are walked along frame pointers alone before Linux 5.17")
    path = os.path.join(harness.BUILD, "tests", "walker")
    if not os.path.exists(path):
        raise Skip(f"{path} is not built")
    done = t.run(path)
    if done.status == 77:
        raise Skip(done.err.strip())
    failed = sorted(set(re.findall(r"FAILED  \] (test_\w+)", done.err + done.out)))
    assert done.status == 0, f"walker ended with {done.status}; failed: {', '.join(failed) or 'nothing'}"
    passed = len(re.findall(r"OK \] test_", done.out + done.err))
    assert passed >= 50, f"only {passed} tests were run"
