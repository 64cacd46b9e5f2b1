# SPDX-License-Identifier: GPL-2.0-or-later
"""A program that leaks by the book: leaktrace's counts are its own books', process by process, to the byte."""

import os

from harness import COUNTS, cases, check_counts, expect_line, fixture, limit, tell

LIVE = ("live_bytes", "live_blocks")

# Modes where nothing but the books allocates, so that whole processes must agree, not only the booked sites.
PURE = ("every", "nested", "realloc", "fail", "fork", "fork-many", "vfork", "spawn", "exec-failed", "killed")

GLIBC_MODES = PURE + (
    "threads", "short-threads", "signals", "leader-exit", "fork-thread", "exec", "exec-thread",
    "plugin",
)

C_VARIANTS = (
    "books-O0", "books-static", "books-static-pie", "books-musl", "books-musl-static",
    "books-jemalloc", "books-tcmalloc", "books-mimalloc",
)

CXX_VARIANTS = ("books-cxx", "books-cxx-new", "books-cxx-static", "books-cxx-jemalloc", "books-cxx-tcmalloc")


def environment(t):
    return {
        "BOOKS": t.path("books"),
        "BOOKS_PLUGIN": os.path.join(os.path.dirname(fixture("books")), "books-plugin.so"),
        "BOOKS_PLUGIN_ALLOCATOR": os.path.join(os.path.dirname(fixture("books")), "books-plugin-allocator.so"),
    }


def trace_books(t, program, *modes):
    """Trace a books program from its start; returns the report and the books by process."""
    done = t.leaktrace("--", fixture(program), *modes, env=environment(t))
    done.report.check_nothing_lost()
    books = t.books(t.path("books"))
    assert books, "the program wrote no books"
    return done.report, books


def check_booked(report, books, counts=COUNTS):
    for book in books:
        check_counts(report.booked(book["pid"]), book, f"process {book['pid']} ({book['mode']})", counts)


@cases(*GLIBC_MODES)
def test_glibc(t, mode):
    report, books = trace_books(t, "books", mode)
    # The old image's sites went with it, but their calls stay counted.
    counts = LIVE if mode in ("exec", "exec-thread") else COUNTS
    report.check_totals(counts)
    check_booked(report, books, counts)
    if mode in PURE:
        for book in books:
            check_counts(report.of_pid(book["pid"]), book, f"all of process {book['pid']}")


@cases(*C_VARIANTS)
def test_variant(t, program):
    report, books = trace_books(t, program, "all")
    assert len(books) == 3, f"{len(books)} books, not those of a process, its child and its grandchild"
    report.check_totals()
    check_booked(report, books)


@cases(*CXX_VARIANTS)
def test_cxx(t, program):
    # `all` has operator new fail and throw through a marked frame: the program must survive that to close its books.
    report, books = trace_books(t, program, "all")
    check_booked(report, books)


def test_cxx_mimalloc(t):
    # With Debian's mimalloc 2.0.9 a failing operator new aborts the program, traced or not: no failing calls here.
    report, books = trace_books(t, "books-cxx-mimalloc", "operators", "expressions", "containers")
    check_booked(report, books)


def attach_to_books(t, program):
    target = t.start(fixture(program), "attach", env={**environment(t), "BOOKS_FOREIGN": "1"})
    expect_line(target, "ready")
    tracer = t.attach(target.pid, "--interval", "1")
    tell(target)
    expect_line(target, "done")
    return target, tracer


@cases("books", "books-musl-static", "books-jemalloc", "books-tcmalloc", "books-mimalloc")
def test_attached(t, program):
    """Blocks from before the tracer came die and move without a trace; all others are exact."""
    target, tracer = attach_to_books(t, program)
    report = t.end_leaktrace(tracer)
    tell(target)
    assert target.wait(10) == 0
    report.check_nothing_lost()
    check_booked(report, t.books(t.path("books")))


def test_attached_until_exit(t):
    """The target ends under leaktrace, which reports what was live at the end."""
    target, tracer = attach_to_books(t, "books")
    tell(target)
    assert target.wait(10) == 0
    report = t.end_leaktrace(tracer, how=None)
    check_booked(report, t.books(t.path("books")))


@limit(120)
def test_two_targets(t):
    """Two processes traced at once are kept apart; a third of the same program is not touched."""
    targets = [t.start(fixture("books"), "attach", env=environment(t)) for _ in range(3)]
    for target in targets:
        expect_line(target, "ready")
    tracer = t.attach(targets[0].pid, "--pid", targets[1].pid)
    for target in targets:
        tell(target)
    for target in targets:
        expect_line(target, "done")
    report = t.end_leaktrace(tracer)
    books = {book["pid"]: book for book in t.books(t.path("books"))}
    check_booked(report, [books[target.pid] for target in targets[:2]])
    assert not any(site["pid"] == targets[2].pid for site in report.sites), "a process not asked for was traced"
    for target in targets:
        tell(target)
        assert target.wait(10) == 0
