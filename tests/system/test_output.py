# SPDX-License-Identifier: GPL-2.0-or-later
"""What leaktrace prints and writes: the text, JSON, folded stacks, probes; exit statuses; early ends."""

import json
import os
import re
import signal

from harness import expect_line, fixture, leaktrace_path, tell
from test_books import environment

SITE_KEYS = {
    "id": str, "pid": int, "comm": str, "domain": str, "live_bytes": int, "live_blocks": int,
    "allocated_bytes": int, "allocations": int, "frees": int, "leak_factor": dict, "frames": list, "series": list,
}


def test_json(t):
    """The report has the format that was agreed, with the right functions, lines and build IDs in it."""
    report = t.leaktrace("--", fixture("books"), "every", "nested", env=environment(t)).report
    data = report.data
    assert data["format"] == "leaktop.report" and data["version"] == 1
    session = data["session"]
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", session["start"]), session
    assert session["duration_s"] > 0 and session["kernel"] == os.uname().release, session
    assert session["target"]["command"] == [fixture("books"), "every", "nested"], session
    assert any(p["function"] == "malloc" and p["mechanism"] == "uprobe" for p in data["probes"]), data["probes"]
    assert report.sites
    for site in report.sites:
        for key, kind in SITE_KEYS.items():
            assert isinstance(site.get(key), kind), f"{key} of a site is {site.get(key)!r}"
        assert len(site["leak_factor"]["coef"]) == 3
    assert len({site["id"] for site in report.sites}) == len(report.sites), "two sites have one id"
    memalign = [s for s in report.sites if any(f["function"] == "book_memalign" for f in s["frames"])]
    assert memalign, "no site in book_memalign"
    frame = next(f for f in memalign[0]["frames"] if f["function"] == "book_memalign")
    assert frame["module"] == fixture("books") and frame["file"].endswith("books_allocators.c"), frame
    # The line is the call's, not the one that it returns to.
    with open(os.path.join(os.path.dirname(__file__), "..", "fixtures", "books_allocators.c")) as source:
        line = source.read().splitlines()[frame["line"] - 1]
    assert "memalign(" in line, f"line {frame['line']} is {line!r}"
    notes = t.run("readelf", "-n", fixture("books")).out
    assert f"Build ID: {frame['build_id']}" in notes, f"{frame['build_id']} is not in {notes}"


def test_text(t):
    done = t.leaktrace("--", fixture("books"), "every", env=environment(t))
    assert "book_every" in done.out, f"no function name in the text: {done.out}"
    assert "\x1b" not in done.out, "colours in a pipe"


def test_top(t):
    """--top shortens the text; the JSON stays whole."""
    options = ("--", fixture("books"), "every")
    wide = t.leaktrace("--top", "0", *options, env=environment(t))
    narrow = t.leaktrace("--top", "2", *options, env=environment(t))
    assert len(narrow.out) < len(wide.out), "the text is not shorter"
    assert len(narrow.report.sites) == len(wide.report.sites) and narrow.report.totals == wide.report.totals


def test_folded(t):
    """One line a site: frames from the outside in, a space, the live bytes."""
    path = t.path("stacks.folded")
    report = t.leaktrace("--folded", path, "--", fixture("books"), "every", env=environment(t)).report
    with open(path) as file:
        lines = file.read().splitlines()
    total = 0
    for line in lines:
        stack, _, value = line.rpartition(" ")
        assert stack and value.isdigit(), f"not a folded stack: {line!r}"
        total += int(value)
    assert total == report.totals["live_bytes"], f"{total} bytes in folded stacks, {report.totals} in the report"
    order = [line.split(";") for line in lines if "book_valloc" in line]
    assert order, lines
    for frames in order:
        names = [re.sub(r"[^a-z_].*", "", frame) for frame in frames]
        assert names.index("main") < names.index("book_every") < names.index("book_valloc"), frames


def test_probes(t):
    """--probes says what would be placed, and leaves the target alone."""
    target = t.start(fixture("books"), "attach", env=environment(t))
    expect_line(target, "ready")
    done = t.run(leaktrace_path(), "--pid", str(target.pid), "--probes")
    assert done.status == 0, done.err
    for function in ("malloc", "calloc", "realloc", "posix_memalign", "free"):
        line = next((line for line in done.out.splitlines() if re.search(rf"\b{function}\b", line)), None)
        assert line, f"no line for {function}: {done.out}"
        assert "emulated" in line or "stepped" in line, line
    tell(target)
    expect_line(target, "done")
    tell(target)
    assert target.wait(10) == 0


def test_interrupt(t):
    """SIGINT and SIGTERM end early, and still report."""
    for number in (signal.SIGINT, signal.SIGTERM):
        target = t.start(fixture("books"), "attach", env=environment(t))
        expect_line(target, "ready")
        tracer = t.attach(target.pid, "--duration", "1000")
        tell(target)
        expect_line(target, "done")
        report = t.end_leaktrace(tracer, number)
        assert report.totals["allocations"] > 100, report.totals
        assert target.poll() is None, "the target ended with its tracer"
        tell(target)
        assert target.wait(10) == 0


def test_interrupted_command(t):
    """An early end of a command that leaktrace started still says what it held."""
    path = t.path("report.json")
    tracer = t.start(
        leaktrace_path(), "--json", path, "--", fixture("books"), "attach", env=environment(t)
    )
    expect_line(tracer, "ready")
    tell(tracer)
    expect_line(tracer, "done")
    tracer.send_signal(signal.SIGINT)
    assert tracer.wait(20) == 0, f"leaktrace ended with {tracer.returncode}"
    with open(path) as file:
        assert json.load(file)["totals"]["allocations"] > 100


def test_duration(t):
    target = t.start(fixture("books"), "attach", env=environment(t))
    expect_line(target, "ready")
    report = t.leaktrace("--pid", target.pid, "--duration", "1.5", "--interval", "0.5").report
    assert 1.4 < report.data["session"]["duration_s"] < 4, report.data["session"]
    assert report.data["session"]["target"]["pids"] == [target.pid]


def test_fail_on(t):
    """Exit status 1, or the one asked for, when a site has a class that is not wanted."""
    port, server = start_leaky_server(t)
    t.start(fixture("leaky_server"), "load", port, "60")
    options = ("--pid", server.pid, "--duration", "8", "--interval", "0.5")
    t.leaktrace(*options, "--fail-on", "linear", expect=1)
    t.leaktrace(*options, "--fail-on", "linear", "--error-exitcode", "42", expect=42)
    t.leaktrace("--fail-on", "linear,exponential", "--", "/bin/true", expect=0)


def test_classes(t):
    """The bundled server: its leak is found and named, its cache and its churn are not taken for it."""
    port, server = start_leaky_server(t)
    t.start(fixture("leaky_server"), "load", port, "60")
    report = t.leaktrace("--pid", server.pid, "--duration", "12", "--interval", "0.5").report
    leaks = [s for s in report.sites if s["leak_factor"]["class"] in ("linear", "exponential")]
    named = {f["function"] for s in leaks for f in s["frames"]}
    assert "session_remember" in named, f"the leak is not found: {[s['leak_factor'] for s in report.sites[:5]]}"
    for steady in ("request_parse", "batch_add"):
        assert steady not in named, f"{steady} is called a leak"
    assert any(f["function"] == "session_remember" for f in report.sites[0]["frames"]), "the leak is not first"


def start_leaky_server(t):
    server = t.start(fixture("leaky_server"), "serve", "90")
    return server.stdout.readline().strip(), server


def test_progress(t):
    """On a terminal the progress is shown: elapsed of total, calls, live bytes; and wiped at the end."""
    target = t.start(fixture("books"), "attach", env=environment(t))
    expect_line(target, "ready")
    tracer = t.attach(target.pid, "--duration", "2", "--interval", "0.2")
    tell(target)
    expect_line(target, "done")
    t.end_leaktrace(tracer, how=None)
    lines = re.split(r"[\r\n]+", tracer.screen.text())
    shown = [line for line in lines if re.match(r"[\d.]+ ?m?s of 2(\.0)? ?s: .* calls, .* live, ", line)]
    assert len(shown) >= 3, f"progress: {lines}"
    assert len(set(shown)) > 1, f"the numbers stand still: {shown}"
    assert not lines[-1].strip(), f"left on the screen: {lines[-1]!r}"


def test_help_and_version(t):
    for option, word in (("--help", "--pid"), ("--version", "leaktrace")):
        done = t.run(leaktrace_path(), option)
        assert done.status == 0 and word in done.out, f"{option}: {done.status}, {done.out!r}"
