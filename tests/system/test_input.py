# SPDX-License-Identifier: GPL-2.0-or-later
"""Bad input: one clear line, the right exit status, and nothing changed."""

import os
import random
import re
import shutil
import subprocess

from harness import Skip, cases, expect_line, fixture, leaktrace_path, limit, process_state, tell, tool, wait_for
from test_books import environment

USAGE, IMPOSSIBLE, GONE = 2, 3, 4


def check_error(done, status, *words):
    """One line `leaktrace: what failed: why (what to do)` that has these words, and the exit status."""
    assert done.status == status, f"exit status {done.status}, not {status}: {done.err}"
    assert re.fullmatch(r"leaktrace: [^\n]+: [^\n]+\n", done.err), f"not one line of the agreed form: {done.err!r}"
    for word in words:
        assert re.search(word, done.err, re.IGNORECASE), f"{word!r} is not in {done.err!r}"


def leaktrace(t, *arguments, **options):
    return t.run(leaktrace_path(), *map(str, arguments), **options)


@cases(
    ("--nonsense",), ("--pid", "abc"), ("--pid", "0"), ("--pid", "-5"), ("--pid", "99999999999999999999"),
    ("--pid", "1", "--duration", "soon"), ("--pid", "1", "--duration", "-1"), ("--pid", "1", "--interval", "0"),
    ("--pid", "1", "--interval", "nan"), ("--pid", "1", "--max-blocks", "0"), ("--pid", "1", "--max-stacks", "x"),
    ("--pid", "1", "--domain", "heap,nothing"), ("--pid", "1", "--fail-on", "bad-luck"),
    ("--pid", "1", "--error-exitcode", "1000"), ("--pid",), (),
)
def test_usage(t, *arguments):
    done = leaktrace(t, *arguments)
    assert done.status == USAGE, f"exit status {done.status}: {done.err}"
    # The second line, if any, says where help is to be had.
    first, _, second = done.err.rstrip("\n").partition("\n")
    assert first.startswith("leaktrace: ") and re.fullmatch(r"(Try [^\n]+)?", second), done.err
    wrong = arguments[-1].split(",")[-1] if arguments else "--pid"
    assert wrong in first, f"{wrong!r} is not named: {done.err}"


def test_no_such_process(t):
    child = t.start("/bin/true")
    child.wait(10)
    check_error(leaktrace(t, "--pid", child.pid), GONE, str(child.pid))


def test_zombie(t):
    """Ended but not waited for: there is a /proc entry, and nothing behind it."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    wait_for(lambda: process_state(child) == "Z", 10, "a zombie")
    check_error(leaktrace(t, "--pid", child), GONE, str(child))
    os.waitpid(child, 0)


@limit(120)
def test_gone_while_attaching(t):
    """A process that ends at any moment of the attaching: a report or a clear error, never a crash."""
    chance = random.Random(2)
    for _ in range(12):
        child = t.start("/bin/sleep", f"{chance.uniform(0, 0.4):.3f}")
        done = leaktrace(t, "--pid", child.pid)
        assert done.status in (0, GONE), f"{done.status}: {done.err}"
        if done.status == GONE:
            check_error(done, GONE, str(child.pid))
        child.wait(10)


def test_kernel_thread(t):
    if os.path.exists("/proc/2/exe") and os.access("/proc/2/exe", os.R_OK):
        raise Skip("pid 2 is no kernel thread here (a pid namespace)")
    check_error(leaktrace(t, "--pid", 2), IMPOSSIBLE, "kernel")


def test_no_permission(t):
    """As nobody: what is missing is named."""
    program = shutil.copy(leaktrace_path(), t.folder)
    os.chmod(t.folder, 0o755)
    drop = (tool("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all")
    done = t.run(*drop, program, "--", "/bin/true")
    check_error(done, IMPOSSIBLE, "CAP_BPF|root")
    own = t.start(*drop, "/bin/sleep", "30")
    check_error(t.run(*drop, program, "--pid", str(own.pid)), IMPOSSIBLE, "CAP_BPF|root")


def test_stripped_static(t):
    target = t.start(fixture("stripped-static"), "10")
    expect_line(target, "ready")
    check_error(leaktrace(t, "--pid", target.pid), IMPOSSIBLE, "symbol|allocator")
    tell(target)
    assert float(target.stdout.readline()) > 0, "the target does not work any more"


def test_hostile_name(t):
    """A program whose name would clear the screen: neither an error nor the list of probes obeys it."""
    names = {name: t.path(name + "\033[2J") for name in ("stripped-static", "books-static")}
    for name, path in names.items():
        shutil.copy(fixture(name), path)
    check_error(leaktrace(t, "--", names["stripped-static"], "10"), IMPOSSIBLE, r"\\x1b")
    done = leaktrace(t, "--probes", "--", names["books-static"])
    assert done.status == 0 and "malloc" in done.out, f"{done.status}: {done.err}"
    assert "\033" not in done.out and "\\x1b" in done.out, repr(done.out)


def test_32_bit(t):
    target = t.start(fixture("empty-i386"))
    try:
        expect_line(target, "ready")
    except AssertionError:
        raise Skip("this kernel does not run 32-bit programs") from None
    check_error(leaktrace(t, "--pid", target.pid), IMPOSSIBLE, "32")
    target.stdin.close()
    assert target.wait(10) == 0


def test_no_such_program(t):
    done = leaktrace(t, "--", "/nonexistent/program")
    assert done.status in (USAGE, IMPOSSIBLE), done.status
    check_error(done, done.status, "/nonexistent/program")


def damaged_objects(t):
    """Files that claim to be ELF: cut short, empty, of text, with wild headers, with random bytes changed."""
    with open(fixture("books-plugin-allocator.so"), "rb") as file:
        whole = file.read()
    yield "empty", b""
    yield "text", b"not an object\n" * 100
    for size in (4, 16, 63, 64, 200, len(whole) // 2, len(whole) - 1):
        yield f"cut at {size}", whole[:size]
    for offset in (0x20, 0x28, 0x36, 0x38, 0x3A, 0x3C, 0x3E):
        yield f"header {offset:#x}", whole[:offset] + b"\xff\xff" + whole[offset + 2:]
    chance = random.Random(7)
    for number in range(15):
        changed = bytearray(whole)
        for _ in range(200):
            changed[chance.randrange(4, len(whole))] = chance.randrange(256)
        yield f"random {number}", bytes(changed)


def test_damaged_objects(t):
    """Either still good enough to be used, or a clear error; never a crash, and no hanging."""
    path = t.path("object.so")
    refused = 0
    for what, content in damaged_objects(t):
        with open(path, "wb") as file:
            file.write(content)
        done = leaktrace(t, "--object", path, "--", "/bin/true", timeout=20)
        assert done.status in (0, USAGE, IMPOSSIBLE), f"{what}: {done.status}, {done.err}"
        if done.status:
            check_error(done, done.status, "object.so")
            refused += 1
        elif what in ("empty", "text", "cut at 16", "cut at 63"):
            raise AssertionError(f"{what}: taken without an error")
    assert refused > 5
    check_error(leaktrace(t, "--object", "/nonexistent.so", "--", "/bin/true"), IMPOSSIBLE, "/nonexistent.so")


@cases("--json", "--folded")
def test_unwritable(t, option):
    """Said before anything is started, not after an hour of measuring."""
    for path in (t.path("no-such-folder/file"), t.folder):
        done = leaktrace(t, option, path, "--", fixture("books"), "every", env=environment(t))
        check_error(done, IMPOSSIBLE, re.escape(path))
        assert not os.path.exists(t.path("books")), "the command was run all the same"


@cases("--json", "--folded")
def test_full_disk(t, option):
    """The old file is kept whole, no half of a new one is left, and the error is clear."""
    folder = t.path("small")
    os.mkdir(folder)
    t.cleanup.callback(lambda: subprocess.run(["umount", folder], check=False))
    mounted = t.run(tool("mount"), "-t", "tmpfs", "-o", "size=64k", "leaktop-test", folder)
    if mounted.status:
        raise Skip(f"cannot mount a tmpfs: {mounted.err.strip()}")
    path = os.path.join(folder, "report")
    with open(path, "w") as file:
        file.write("the old report\n")
    with open(os.path.join(folder, "filler"), "wb", buffering=0) as file:
        # To the last byte: nothing of a report fits.
        with_room = True
        while with_room:
            try:
                with_room = file.write(b"x" * 4096) > 0
            except OSError:
                with_room = False
    done = leaktrace(t, option, path, "--", fixture("books"), "every", env=environment(t))
    assert done.status == IMPOSSIBLE, f"{done.status}: {done.err}"
    assert re.search(r"^leaktrace: [^\n]+: No space left on device", done.err, re.MULTILINE), done.err
    with open(path) as file:
        assert file.read() == "the old report\n", "the old report is damaged"
    assert sorted(os.listdir(folder)) == ["filler", "report"], f"left behind: {os.listdir(folder)}"


def test_dev_full(t):
    """Standard output that takes nothing is an error too."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [leaktrace_path(), "--", "/bin/true"],
            stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, text=True, timeout=30, check=False,
        )
    assert done.returncode == IMPOSSIBLE, f"{done.returncode}: {done.stderr}"
    assert "No space left on device" in done.stderr, done.stderr
