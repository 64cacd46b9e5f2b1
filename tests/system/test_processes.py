# SPDX-License-Identifier: GPL-2.0-or-later
"""Where processes live and how they come and go: containers, replaced files, crowds of children."""

import json
import os
import re
import shutil
import subprocess

from harness import Skip, cases, check_counts, expect_line, fixture, leaktrace_path, limit, tell, tool, wait_for
from test_books import check_booked, environment
from test_safety import changed_code, child_of


def make_root(t, program):
    """A small root file system with just this program and the libraries that it needs."""
    root = t.path("root")
    os.mkdir(root)
    shutil.copy(program, os.path.join(root, "app"))
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    for word in listed.split():
        if word.startswith("/") and os.path.exists(word):
            target = root + word
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy(os.path.realpath(word), target)
    return root


def check_attached(t, target, pid, books_path):
    """Trace a running books program by its pid as seen from here, and compare."""
    expect_line(target, "ready")
    tracer = t.attach(pid)
    tell(target)
    expect_line(target, "done")
    report = t.end_leaktrace(tracer)
    (book,) = t.books(books_path)
    # In a pid namespace its own pid is another.
    check_counts(report.booked(pid), book, f"process {pid}")
    tell(target)
    assert target.wait(10) == 0


@cases("books", "books-musl-static")
def test_container(t, program):
    """Its own mount namespace and root: none of its paths mean anything outside."""
    root = make_root(t, fixture(program))
    command = (tool("unshare"), "--mount", tool("chroot"), root, "/app", "attach")
    target = t.start(*command, env={"BOOKS": "/books"})
    check_attached(t, target, target.pid, os.path.join(root, "books"))


def test_pid_namespace(t):
    command = (tool("unshare"), "--pid", "--fork", fixture("books"), "attach")
    target = t.start(*command, env=environment(t))
    pid = wait_for(lambda: child_of(target.pid), 10, "the process in the namespace")
    check_attached(t, target, pid, t.path("books"))


@cases("replaced", "deleted")
def test_file_gone(t, how):
    """An upgrade under a running program: names come from the file that it runs, not from the one at its path."""
    path = shutil.copy(fixture("books"), t.path("app"))
    target = t.start(path, "attach", env=environment(t))
    if how == "replaced":
        os.rename(shutil.copy(fixture("leaky_server"), t.path("new")), path)
    else:
        os.unlink(path)
    check_attached(t, target, target.pid, t.path("books"))


@limit(120)
def test_hundred_children(t):
    """Short-lived programs one after the other, from a shell."""
    script = 'for i in $(seq 100); do "$0" every; done'
    report = t.leaktrace("--", "/bin/sh", "-c", script, fixture("books"), env=environment(t)).report
    report.check_nothing_lost()
    books = t.books(t.path("books"))
    assert len(books) == 100 and len({book["pid"] for book in books}) == 100, f"{len(books)} books"
    check_booked(report, books)


@limit(120)
def test_children_at_once(t):
    """Many at the same time, of two allocators, dying in any order."""
    script = 'for i in $(seq 20); do "$0" realloc & "$1" fail & done; wait'
    programs = (fixture("books"), fixture("books-jemalloc"))
    report = t.leaktrace("--", "/bin/sh", "-c", script, *programs, env=environment(t)).report
    report.check_nothing_lost()
    books = t.books(t.path("books"))
    assert len(books) == 40, f"{len(books)} books"
    check_booked(report, books)


def wait_for_probes(t, pid):
    """Wait until a process has a breakpoint wherever leaktrace would place one."""
    lines = t.run(leaktrace_path(), "--pid", str(pid), "--probes").out.splitlines()[1:]
    wanted = {tuple(re.match(r"(\S+)\s+\S+\s+(0x[0-9a-f]+)", line).groups()) for line in lines}
    assert wanted, "no probes in the child"
    wait_for(lambda: len(changed_code(pid)) >= len(wanted), 20, f"{len(wanted)} probes in process {pid}")


def test_children_of_attached(t):
    """A shell that is already there: a program that it starts later is followed too."""
    script = 'echo ready; read line; "$0" attach'
    shell = t.start("/bin/sh", "-c", script, fixture("books-musl"), env=environment(t))
    expect_line(shell, "ready")
    tracer = t.attach(shell.pid)
    tell(shell)
    expect_line(shell, "ready")
    wait_for_probes(t, child_of(shell.pid) or shell.pid)
    tell(shell)
    expect_line(shell, "done")
    report = t.end_leaktrace(tracer)
    report.check_nothing_lost()
    check_booked(report, t.books(t.path("books")))


def test_object_option(t):
    """--object adds a file whose functions have an allocator's names, before anyone maps it."""
    if not os.path.exists(fixture("books-plugin-allocator.so")):
        raise Skip("no plugin")
    options = ("--object", environment(t)["BOOKS_PLUGIN_ALLOCATOR"])
    report = t.leaktrace(*options, "--", fixture("books"), "plugin-allocator", env=environment(t)).report
    check_booked(report, t.books(t.path("books")))


def test_end_not_heard_of(t):
    """A process that was already dying when it was put on record: the session ends all the same."""
    target = t.start("/bin/sleep", "60")
    tracer = t.attach(target.pid)
    forget_process(tracer.pid, target.pid)
    target.kill()
    target.wait(10)
    t.end_leaktrace(tracer, how=None)


def forget_process(tracer_pid, pid):
    """Take a process off the kernel side's record behind leaktrace's back, as if its exit had come too early."""
    bpftool = tool("bpftool")
    held = set()
    for entry in os.scandir(f"/proc/{tracer_pid}/fdinfo"):
        with open(entry.path) as info:
            held.update(int(line.split()[1]) for line in info if line.startswith("map_id:"))
    listed = subprocess.run([bpftool, "--json", "map", "list"], capture_output=True, check=True).stdout
    (record,) = [m for m in json.loads(listed) if m.get("name") == "process_of_tgid" and m["id"] in held]
    key = [f"0x{byte:02x}" for byte in pid.to_bytes(4, "little")]
    subprocess.run([bpftool, "map", "delete", "id", str(record["id"]), "key", *key], check=True)
