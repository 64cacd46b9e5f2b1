# SPDX-License-Identifier: GPL-2.0-or-later
"""Choices of what to watch and where to report that lead nowhere: the right exit status and the reason."""

from harness import cases, leaktrace_path


@cases(
    (4, "--comm", "--comm", "nosuchprogram", "--duration", "1"),
    (2, "/nope", "--cgroup", "/nope", "--duration", "1"),
    (2, "standard output", "--json", "-", "--folded", "-", "--", "/bin/true"),
)
def test_nothing_to_do(t, status, word, *arguments):
    done = t.run(leaktrace_path(), *arguments)
    assert done.status == status, f"exit status {done.status}, not {status}: {done.err}"
    assert word in done.err, f"{word!r} is not in {done.err!r}"
