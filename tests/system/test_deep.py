# SPDX-License-Identifier: GPL-2.0-or-later
"""Stacks of code without frame pointers: the whole chain of calls, through all that a walk has to get past."""

import re
import signal
import subprocess

from harness import cases, expect_line, fixture, process_state, tell, tool, wait_for

LEAK_SIZE = 54321  # of tests/fixtures/deep_stack.h
MAX_FRAMES = 127

# Why a walk ended early, in the words of the report.
TOO_DEEP = "too deep"
NO_INFORMATION = "no unwind information"
NOT_LOADED = "file not loaded yet"

# What stands for frames in a chain: one or more of the C library, and one of code that is in no file.
LIBC = object()
JIT = object()

FROM_MAIN = ("main", LIBC, "_start")
LEVELS = tuple(f"level_{number}" for number in range(8, 0, -1))
CHAINS = {
    "plain": ("leak", *LEVELS, *FROM_MAIN),
    "callback": ("leak", "compare", LIBC, "sort", *FROM_MAIN),
    "signal": ("leak", "on_signal", LIBC, "send_signal", "take_signal", *FROM_MAIN),
    "signal-stack": ("leak", "on_signal", LIBC, "send_signal", "take_signal_on_own_stack", *FROM_MAIN),
    "trap": ("leak", "on_signal", LIBC, "trap_at_once", "call_trap", *FROM_MAIN),
    "thread": ("leak", *LEVELS, "thread_main", LIBC),
    "huge": ("leak", "huge_late", "huge_fixed", *FROM_MAIN),
    "realigned": ("leak", "realign", "call_realign", *FROM_MAIN),
}
JIT_CHAIN = ("leak", "called_by_jit", JIT, "call_jit", "run_jit", *FROM_MAIN)
JIT_BARE_CHAIN = JIT_CHAIN[:3]


def leaks_of(t, situation, *arguments):
    """Run one situation of deep_stack; returns its sites, those with the most allocations first."""
    target = t.start(fixture("deep_stack"), situation, *arguments)
    expect_line(target, "ready")
    tracer = t.attach(target.pid)
    tell(target)
    expect_line(target, "done")
    report = t.end_leaktrace(tracer)
    tell(target)
    assert target.wait(10) == 0, f"the target ended with {target.returncode}"
    report.check_nothing_lost()
    sites = [s for s in report.sites if s["allocations"] and s["allocated_bytes"] == LEAK_SIZE * s["allocations"]]
    assert sites, f"no site of {LEAK_SIZE} bytes"
    return sorted(sites, key=lambda site: -site["allocations"])


def frames_of(site):
    return [frame for frame in site["frames"] if not frame["inlined"]]


def names_of(site):
    return [frame["function"] or frame["module"] or "?" for frame in frames_of(site)]


def is_of(frame, expected):
    module = frame["module"] or ""
    if expected is LIBC:
        return re.search(r"/libc[.-]|/libpthread|/ld-linux", module)
    if expected is JIT:
        return module.startswith("[")
    return frame["function"] == expected


def is_chain(frames, chain):
    """Whether all frames are those of the chain, innermost first."""
    position = 0
    for expected in chain:
        if position == len(frames) or not is_of(frames[position], expected):
            return False
        position += 1
        while expected is LIBC and position < len(frames) and is_of(frames[position], LIBC):
            position += 1
    return position == len(frames)


def check_complete(site, chain):
    assert is_chain(frames_of(site), chain), f"another stack: {' < '.join(names_of(site))} ({site.get('stack_end')})"
    assert site["complete"] is True and site["stack_end"] is None, f"cut: {site['complete']}, {site['stack_end']}"


def check_cut(site, why):
    assert site["complete"] is False and site["stack_end"] == why, f"{site['complete']}, {site['stack_end']}"


@cases(*CHAINS)
def test_chain(t, situation):
    (site,) = leaks_of(t, situation)
    check_complete(site, CHAINS[situation])
    assert site["frame_pointers"] is False, "frame pointers were followed where there are none"


def test_recursion(t):
    """More frames than are kept: the innermost are there, and it is said that there were more."""
    (site,) = leaks_of(t, "recursion")
    assert names_of(site) == ["leak"] + ["descend"] * (MAX_FRAMES - 1), " < ".join(names_of(site))
    check_cut(site, TOO_DEEP)


def test_plugins(t):
    """Two libraries one after the other, perhaps at the same addresses: each stack is that of its own."""
    libraries = [fixture(f"deep-plugin-{letter}.so") for letter in "ab"]
    sites = leaks_of(t, "plugins", *libraries)
    for letter in "ab":
        chain = (f"plugin_{letter}_leak", f"plugin_{letter}_middle", "plugin_run", "call_plugin", "run_plugins",
                 *FROM_MAIN)
        own = [site for site in sites if names_of(site)[0] == chain[0]]
        assert own, f"no stack begins in plugin {letter}"
        check_complete(own[0], chain)
        # The first calls may come before what is known of the file does, and must then say so.
        for site in own[1:]:
            check_cut(site, NOT_LOADED)
    assert len(sites) <= 4, [" < ".join(names_of(site)) for site in sites]


def turns_of(tracer):
    """How often a process has waited for something until now."""
    with open(f"/proc/{tracer.pid}/status") as status:
        return int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", status.read(), re.M).group(1))


def test_swapped_plugins(t):
    """What is known of a library is not taken from another one, loaded to its place before anybody looked."""
    target = t.start(fixture("deep_stack"), "swapped", *(fixture(f"deep-plugin-{letter}.so") for letter in "ab"))
    expect_line(target, "ready")
    tracer = t.attach(target.pid)
    for line in "swapped", "done":
        tracer.send_signal(signal.SIGSTOP)
        wait_for(lambda: process_state(tracer.pid) == "T", 10, "leaktrace to stop")
        tell(target)
        expect_line(target, line)
        before = turns_of(tracer)
        tracer.send_signal(signal.SIGCONT)
        wait_for(lambda: turns_of(tracer) > before + 1, 10, "leaktrace to take in what has happened")
    report = t.end_leaktrace(tracer)
    tell(target)
    assert target.wait(10) == 0, f"the target ended with {target.returncode}"
    chain = ("plugin_a_leak", "plugin_a_middle", "plugin_run", "call_plugin", "swap_plugins", *FROM_MAIN)
    sites = [site for site in report.sites if names_of(site)[0] == chain[0]]
    assert sum(site["allocations"] for site in sites) == 2, [names_of(site) for site in sites]
    for site in sites:
        if site["complete"]:
            check_complete(site, chain)
        else:
            check_cut(site, NOT_LOADED)


def test_jit(t):
    """Code made at run time is walked through by its frame pointer, in the middle of code that has none."""
    (site,) = leaks_of(t, "jit")
    check_complete(site, JIT_CHAIN)
    assert site["frame_pointers"] is True, "how can it have been walked without a frame pointer?"


def test_jit_bare(t):
    """Without a frame pointer the walk ends there, and nothing is made up."""
    (site,) = leaks_of(t, "jit-bare")
    assert is_chain(frames_of(site), JIT_BARE_CHAIN), f"another stack: {' < '.join(names_of(site))}"
    check_cut(site, NO_INFORMATION)


def test_broken_information(t):
    """A file whose call frame information is nonsense: a warning that names it, and frame pointers instead."""
    program, section = t.path("broken"), t.path("section")
    with open(section, "wb") as file:
        file.write(b"\xf0\xff\xff\x7f" + b"\x5a" * 200)
    copied = t.run(tool("objcopy"), "--update-section", f".eh_frame={section}", fixture("alloc_loop"), program)
    assert copied.status == 0, copied.err
    done = t.leaktrace("--", program, "1000", stdin=subprocess.DEVNULL)
    warnings = [text for text in done.report.data["warnings"] if program in text]
    assert len(warnings) == 1 and "frame pointers" in warnings[0], done.report.data["warnings"]
    done.report.check_nothing_lost()
