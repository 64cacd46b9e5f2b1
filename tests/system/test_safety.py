# SPDX-License-Identifier: GPL-2.0-or-later
"""Observing never changes the observed: whatever happens to leaktrace, its target goes on as if nothing had been."""

import os
import random
import signal
import subprocess
import time

from harness import expect_line, fixture, leaktrace_path, limit, process_state, tell, tool, wait_for
from test_books import check_booked, environment


def changed_code(pid):
    """The addresses of executable file mappings whose bytes in memory are not the file's: breakpoints."""
    changed = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            fields = line.split(None, 5)
            if "x" not in fields[1] or len(fields) < 6 or not fields[5].startswith("/"):
                continue
            start, end = (int(number, 16) for number in fields[0].split("-"))
            memory.seek(start)
            seen = memory.read(end - start)
            with open(f"/proc/{pid}/map_files/{fields[0]}", "rb") as file:
                file.seek(int(fields[2], 16))
                expected = file.read(end - start).ljust(end - start, b"\0")
            if seen != expected:
                changed += [start + at for at in range(len(seen)) if seen[at] != expected[at]]
    return changed


def check_untouched(pid):
    wait_for(lambda: not changed_code(pid), 10, f"the breakpoints of process {pid} to go")
    assert process_state(pid) in ("R", "S"), f"process {pid} is in state {process_state(pid)}"
    with open(f"/proc/{pid}/status") as status:
        assert "TracerPid:\t0\n" in status.read(), f"process {pid} is being traced"


def start_target(t):
    target = t.start(fixture("books"), "attach", env=environment(t))
    expect_line(target, "ready")
    return target


def finish_target(t, target):
    """The target does what it would have done, and its books add up."""
    expect_line(target, "done")
    check_untouched(target.pid)
    tell(target)
    assert target.wait(20) == 0, f"the target ended with {target.returncode}"
    (book,) = [book for book in t.books(t.path("books")) if book["pid"] == target.pid]
    assert book["live_blocks"] == book["allocations"] - book["frees"], book
    assert book["live_bytes"] > 1000000, book


def test_breakpoints_seen(t):
    """Breakpoints are there while leaktrace runs (or the other tests here prove nothing), and gone after its end."""
    target = start_target(t)
    assert not changed_code(target.pid)
    tracer = t.attach(target.pid)
    assert changed_code(target.pid), "no breakpoint is seen while leaktrace runs"
    t.end_leaktrace(tracer)
    check_untouched(target.pid)
    tell(target)
    finish_target(t, target)


@limit(180)
def test_killed_while_tracing(t):
    """kill -9 at random moments of the target's work."""
    chance = random.Random(1)
    for _ in range(6):
        target = start_target(t)
        tracer = t.attach(target.pid)
        tell(target)
        time.sleep(chance.uniform(0, 0.5))
        tracer.kill()
        tracer.wait(10)
        finish_target(t, target)


@limit(180)
def test_killed_while_attaching(t):
    """kill -9 at random moments from its start on."""
    chance = random.Random(3)
    for _ in range(10):
        target = start_target(t)
        tracer = t.start(
            leaktrace_path(), "--pid", str(target.pid), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        tell(target)
        time.sleep(chance.uniform(0, 0.6))
        tracer.kill()
        tracer.wait(10)
        finish_target(t, target)


@limit(120)
def test_killed_with_command(t):
    """A command that leaktrace started outlives it."""
    for seconds in (0.2, 0.5, 0.9):
        tracer = t.start(
            leaktrace_path(), "--", fixture("books"), "attach",
            env=environment(t), stderr=subprocess.DEVNULL,
        )
        expect_line(tracer, "ready")
        pid = wait_for(lambda: child_of(tracer.pid), 10, "the command")  # noqa: B023
        tell(tracer)
        time.sleep(seconds)
        tracer.send_signal(signal.SIGKILL)
        tracer.wait(10)
        expect_line(tracer, "done")
        check_untouched(pid)
        tell(tracer)
        wait_for(lambda: process_state(pid) in (None, "Z"), 20, "the command to end")  # noqa: B023
        assert [book for book in t.books(t.path("books")) if book["pid"] == pid], "the command wrote no books"


def child_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return next((int(child) for child in children.read().split()), None)


def test_bystander(t):
    """A process that nobody asked about keeps its code as it is while another is traced by its pid."""
    bystander = t.start("/bin/sleep", "60")
    program = t.start(fixture("books"), "attach", env=environment(t))
    expect_line(program, "ready")
    tracer = t.attach(program.pid)
    changed = changed_code(bystander.pid)
    # It is not only a matter of speed: a program that reads its own code, as valgrind does, dies of a breakpoint in it.
    valgrind = t.run(tool("valgrind"), "--quiet", "--leak-check=no", "/bin/true")
    tell(program)
    expect_line(program, "done")
    tell(program)
    assert program.wait(10) == 0
    t.end_leaktrace(tracer, how=None)
    assert valgrind.status == 0, f"valgrind of another program ended with {valgrind.status} while leaktrace ran"
    assert not changed, f"{len(changed)} bytes of code changed in a process that is not traced"


def test_bystander_of_a_command(t):
    """A command's probes are in the files that others map too; when it has ended, those have their code back."""
    bystander = t.start("/bin/sleep", "60")
    t.leaktrace("--", fixture("books"), "every", env=environment(t))
    changed = changed_code(bystander.pid)
    assert not changed, f"{len(changed)} bytes of code of a bystander were not restored"


def test_nothing_left(t):
    """After a normal end: no temporary file, nothing pinned."""
    before = set(os.listdir("/tmp"))
    report = t.leaktrace("--", fixture("books"), "every", env=environment(t)).report
    check_booked(report, t.books(t.path("books")))
    left = {name for name in set(os.listdir("/tmp")) - before if "leaktrace" in name}
    assert not left, f"left in /tmp: {left}"
    pins = set(os.listdir("/sys/fs/bpf")) if os.path.isdir("/sys/fs/bpf") else set()
    assert not {pin for pin in pins if "leak" in pin}, f"pinned: {pins}"
