# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables that are too small: what is lost is said, and what is still counted stays right."""

from harness import check_counts, expect_line, fixture, limit, tell
from test_books import environment


def trace_small(t, *options):
    done = t.leaktrace(*options, "--", fixture("books"), "every", "nested", "realloc", "fail", env=environment(t))
    (book,) = t.books(t.path("books"))
    return done.report, book


def test_few_stacks(t):
    """Sites without a stack take what the stack table has no room for: all counts are exact."""
    report, book = trace_small(t, "--max-stacks", "8")
    assert report.lost["stacks"] > 0, f"nothing lost with 8 stacks: {report.lost}"
    assert report.lost["blocks"] == 0 and report.lost["missed_frees"] == 0, f"lost: {report.lost}"
    check_counts(report.totals, book, "totals")
    report.check_totals()
    assert any(not site["frames"] for site in report.sites), "no site without a stack"


def test_more_stacks_than_room(t):
    """Stacks without end, as recursion makes them: when the table is nearly full, what they have in common takes them."""
    target = t.start(fixture("many_sites"), "4000", "16000")
    expect_line(target, "ready")
    tracer = t.attach(target.pid, "--max-stacks", "512")
    tell(target)
    expect_line(target, "done")
    report = t.end_leaktrace(tracer)
    report.check_nothing_lost()
    report.check_totals()
    assert report.totals["allocations"] == 8000 and report.totals["live_blocks"] == 4000, report.totals
    short = [site for site in report.sites if site["stack_end"] == "stack table nearly full"]
    whole = [site for site in report.sites if site["complete"]]
    assert len(whole) + len(short) == len(report.sites), [site["stack_end"] for site in report.sites]
    assert len(whole) >= 512 - 512 // 8, f"only {len(whole)} whole stacks"
    assert 0 < len(short) < 512 // 8, f"{len(short)} sites for what the whole stacks have in common"
    assert all(len([frame for frame in site["frames"] if not frame["inlined"]]) == 4 for site in short)
    assert sum(site["allocations"] for site in short) == report.data["stacks"]["cut"]["stack table nearly full"]


def test_few_blocks(t):
    """Blocks that are not recorded cannot be seen dying; their births are counted, and that they are lost."""
    report, book = trace_small(t, "--max-blocks", "64")
    assert report.lost["blocks"] > 0, f"nothing lost with 64 blocks: {report.lost}"
    assert report.lost["missed_frees"] == 0, f"lost: {report.lost}"
    for count in ("allocations", "allocated_bytes"):
        assert report.totals[count] == book[count], f"{count}: {report.totals[count]}, not {book[count]}"
    # The table is a little larger than asked for, so that that many find room in it.
    assert report.totals["live_blocks"] <= 2 * 64, f"{report.totals['live_blocks']} live blocks in a table of 64"
    # Traced from its first allocation on: a free of an unknown block is one of a lost block.
    assert report.totals["frees"] == book["frees"], f"{report.totals['frees']} frees, not {book['frees']}"


@limit(120)
def test_few_blocks_under_threads(t):
    """The table is full and fought over by eight threads; no count goes below zero or wraps."""
    done = t.leaktrace("--max-blocks", "16", "--", fixture("books"), "threads", env=environment(t))
    totals = done.report.totals
    assert done.report.lost["blocks"] > 0, done.report.lost
    assert totals["live_blocks"] <= 2 * 16, totals
    for site in done.report.sites:
        assert 0 <= site["live_blocks"] <= site["allocations"], site
        assert site["live_blocks"] + site["frees"] <= site["allocations"], site


def test_loss_in_the_text(t):
    """A person is told, too."""
    done = t.leaktrace("--max-stacks", "8", "--", fixture("books"), "every", env=environment(t))
    assert "lost" in (done.out + done.err).lower(), f"the text says nothing of a loss: {done.out}"
