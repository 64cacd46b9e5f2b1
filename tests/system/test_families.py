# SPDX-License-Identifier: GPL-2.0-or-later
"""Parents and children: those that were there before us, and those that outlive the command they came from."""

import resource

from harness import check_counts, expect_line, fixture, has_frame, leaktrace_path, tell

LEAKED = {"live_bytes": 2000000, "live_blocks": 1000, "allocations": 1000, "allocated_bytes": 2000000, "frees": 0}


def check_leak(report, what):
    """The one leak of the situations fixture was counted, in whichever process."""
    check_counts(report.sum(lambda site: has_frame(site, r"^leak$")), LEAKED, what)


def test_forked_before(t):
    """--pid of a parent: the child that it has already is watched too."""
    parent = t.start(fixture("situations"), "forked")
    expect_line(parent, "ready")
    tracer = t.attach(parent.pid)
    tell(parent)
    expect_line(parent, "done")
    report = t.end_leaktrace(tracer)
    check_leak(report, "the child that was there before")
    assert not report.of_pid(parent.pid)["allocations"], "the child's calls were given to its parent"
    tell(parent)
    assert parent.wait(10) == 0


def test_outlives_command(t):
    """The command leaves a child in the background and ends: the child is followed to its own end."""
    done = t.leaktrace("--", "/bin/sh", "-c", '"$0" late & exit 7', fixture("situations"))
    check_leak(done.report, "the child in the background")
    assert done.report.data["session"]["duration_s"] >= 1, done.report.data["session"]
    assert "exited with status 7" in done.err, done.err


def test_open_files_limit(t):
    """The command has the limit of open files that its caller gave it, though leaktrace raises its own."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    done = t.run(
        leaktrace_path(), "--", "/bin/sh", "-c", "ulimit -n",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (321, hard)),
    )
    assert done.status == 0 and "321" in done.out.split(), f"{done.out!r}, {done.err!r}"
