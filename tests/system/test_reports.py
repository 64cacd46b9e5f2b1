# SPDX-License-Identifier: GPL-2.0-or-later
"""What a report says of programs whose books are known: the class of a growth, and what is not recorded."""

from harness import check_counts, fixture, has_frame


def test_growth_freed_at_end(t):
    """A program that tidies up just before its end has still grown until then."""
    report = t.leaktrace("--interval", "0.1", "--", fixture("situations"), "growing").report
    (site,) = [site for site in report.sites if has_frame(site, r"^grow$")]
    assert site["allocations"] == site["frees"] == 100 and site["live_bytes"] == 0, site
    assert site["leak_factor"]["class"] == "linear", site["leak_factor"]


def test_minimal_size(t):
    """What --min-size leaves out is left out everywhere: its frees are not counted either."""
    whole = t.leaktrace("--", fixture("situations"), "small").report
    assert whole.totals["frees"] == 1000 and whole.totals["allocations"] == 2000, whole.totals
    report = t.leaktrace("--min-size", 1000, "--", fixture("situations"), "small").report
    expected = {"allocations": 1000, "frees": 0, "live_blocks": 1000, "live_bytes": 2000000}
    check_counts(report.totals, expected, "totals with --min-size", expected)
    report.check_totals()
