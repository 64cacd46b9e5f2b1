# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs nobody here wrote: leaktrace agrees with valgrind, and with a witness that is preloaded in the same run."""

import os
import re
import struct

from harness import COUNTS, ROOT, cases, check_counts, fixture, limit, tool

SQL = os.path.join(ROOT, "tests", "bench", "sqlite.sql")

PYTHON_SCRIPT = """
import json, re
table = {i: [str(i)] * 3 for i in range(20000)}
text = json.dumps(table)
copy = json.loads(text)
print(len(re.findall("1", text)))
"""
PYTHON = ("-S", "-s", "-c", PYTHON_SCRIPT)
# Every object by malloc, and the same order of everything from run to run.
PYTHON_ENVIRONMENT = {"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}


def valgrind_counts(t, *command, env=None, stdin=None):
    """What valgrind says about a command: its `in use at exit` and `total heap usage`."""
    log = t.path("valgrind.log")
    # Without these two, valgrind has the C and C++ libraries free their own blocks at exit.
    options = ("--run-libc-freeres=no", "--run-cxx-freeres=no", "--leak-check=no", f"--log-file={log}")
    with open(stdin or os.devnull) as source:
        t.run(tool("valgrind"), *options, *command, env=env, stdin=source)
    with open(log) as file:
        text = file.read()
    live = re.search(r"in use at exit: ([\d,]+) bytes in ([\d,]+) blocks", text)
    total = re.search(r"total heap usage: ([\d,]+) allocs, ([\d,]+) frees, ([\d,]+) bytes", text)
    assert live and total, f"no summary from valgrind: {text[-300:]}"
    numbers = [int(number.replace(",", "")) for number in live.groups() + total.groups()]
    return dict(zip(("live_bytes", "live_blocks", "allocations", "frees", "allocated_bytes"), numbers))


def trace_whole(t, *command, env=None, stdin=None):
    """Trace a command that has no children to its end; returns its counts."""
    with open(stdin or os.devnull) as source:
        report = t.leaktrace("--", *command, env=env, stdin=source).report
    report.check_nothing_lost()
    report.check_totals()
    return report.totals


def witness_command(t, *command):
    """A command made to count its own calls; returns it, its environment and the file of the counts."""
    path = t.path("counts")
    with open(path, "wb") as file:
        file.truncate(4096)
    return (fixture("preload_exec"), fixture("count-preload.so"), *command), {"COUNT_PRELOAD": path}, path


def read_witness(path):
    with open(path, "rb") as file:
        *numbers, failed, claimed = struct.unpack("7Q", file.read(56))
    assert claimed and not failed, "the witness did not count, or ran out of room"
    return dict(zip(("live_bytes", "live_blocks", "allocations", "allocated_bytes", "frees"), numbers))


def trace_with_witness(t, *command, env=None, stdin=None):
    """Trace a command that counts its own calls by a preloaded library; returns both the report and the counts."""
    command, environment, path = witness_command(t, *command)
    with open(stdin or os.devnull) as source:
        report = t.leaktrace("--", *command, env={**(env or {}), **environment}, stdin=source).report
    report.check_nothing_lost()
    return report, read_witness(path)


@limit(120)
def test_sqlite_valgrind(t):
    """400,000 allocations of the sqlite3 command."""
    command = (tool("sqlite3"), ":memory:")
    expected = valgrind_counts(t, *command, stdin=SQL)
    assert expected["allocations"] > 380000, f"the script is too small: {expected}"
    check_counts(trace_whole(t, *command, stdin=SQL), expected, "sqlite3 and valgrind")


@limit(120)
def test_sqlite_full_database(t):
    """The same, but ended by a signal while the whole database is still in memory."""
    script = t.path("script.sql")
    with open(SQL) as source, open(script, "w") as target:
        target.write(source.read() + ".shell kill -TERM $PPID\n")
    command = (tool("sqlite3"), ":memory:")
    report, expected = trace_with_witness(t, *command, stdin=script)
    assert expected["live_blocks"] > 1000, f"the database is gone: {expected}"
    own = next(site["pid"] for site in report.sites if site["comm"] == "sqlite3")
    check_counts(report.of_pid(own), expected, "sqlite3 and the witness")


@limit(120)
def test_python_valgrind(t):
    command = ("/usr/bin/python3", *PYTHON)
    expected = valgrind_counts(t, *command, env=PYTHON_ENVIRONMENT)
    assert expected["allocations"] > 100000, f"the script is too small: {expected}"
    seen = trace_whole(t, *command, env=PYTHON_ENVIRONMENT)
    # Under valgrind python makes 7 of 440,000 calls more, all freed again; why is not known. The witness below, which
    # counts in the same run, has no such difference.
    check_counts(seen, expected, "python3 and valgrind", ("live_bytes", "live_blocks"))
    for count in ("allocations", "frees"):
        assert abs(seen[count] - expected[count]) < 20, f"{count}: {seen[count]}, valgrind {expected[count]}"


@limit(120)
def test_cxx_valgrind(t):
    # Not the books of the fixture, but all that its C++ library does as well.
    command = (fixture("books-cxx"), "operators", "expressions", "containers")
    env = {"BOOKS": "/dev/null"}
    expected = valgrind_counts(t, *command, env=env)
    check_counts(trace_whole(t, *command, env=env), expected, "a C++ program and valgrind")


PROGRAMS = {
    "python3": ("/usr/bin/python3", *PYTHON),
    "clang-format": ("clang-format", os.path.join(ROOT, "tests", "fixtures", "books_threads.c")),
    "cppcheck": ("cppcheck", "--quiet", os.path.join(ROOT, "tests", "fixtures", "books_threads.c")),
    "sqlite3": ("sqlite3", ":memory:", f".read {SQL}"),
    "xz": ("xz", "--threads=2", "--stdout", "--keep", SQL),
}


@limit(120)
@cases(*PROGRAMS)
def test_witness(t, name):
    """Counted from within and from outside in the same run: no way for the two to differ by chance."""
    program, *arguments = PROGRAMS[name]
    report, expected = trace_with_witness(t, tool(program), *arguments, env=PYTHON_ENVIRONMENT)
    report.check_totals()
    assert expected["allocations"] > 10, f"nothing was counted: {expected}"
    check_counts(report.totals, expected, f"{name} and the witness", COUNTS)
