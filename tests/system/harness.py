# SPDX-License-Identifier: GPL-2.0-or-later
"""What the system tests share: running leaktrace, starting targets, waiting for conditions, comparing books."""

import contextlib
import ctypes
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, "build")
LEAKTRACE = None  # when the one to test is not the one in BUILD
DEFAULT_LIMIT = 60
# How much longer everything may take than on a plain machine: under emulation, for one.
SLOWNESS = float(os.environ.get("LEAKTOP_TEST_SLOWNESS", "1"))

COUNTS = ("live_bytes", "live_blocks", "allocations", "allocated_bytes", "frees")


class Skip(Exception):
    """This test cannot be run here; the text says why."""


def cases(*arguments):
    """Decorate a test: run it once with each of these tuples as arguments after the context."""

    def decorate(function):
        function.cases = [a if isinstance(a, tuple) else (a,) for a in arguments]
        return function

    return decorate


def limit(seconds):
    """Decorate a test with its own time limit."""

    def decorate(function):
        function.limit = seconds
        return function

    return decorate


def leaktrace_path():
    return LEAKTRACE or os.path.join(BUILD, "leaktrace")


def fixture(name):
    """The path of a program that is built from tests/fixtures; the test is skipped when it could not be built."""
    path = os.path.join(BUILD, "fixtures", name)
    if not os.path.exists(path):
        raise Skip(f"{path} is not built (its compiler or library is missing; see scripts/deps.sh)")
    return path


def tool(name):
    """The path of a program of the system; the test is skipped without it."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise Skip(f"{name} is not installed (scripts/deps.sh test)")
    return path


def cannot_run():
    """Why no system test can be run here; None when they can."""
    if os.geteuid() != 0:
        return "system tests load BPF programs: run them as root (sudo make test)"
    if not os.access(leaktrace_path(), os.X_OK):
        return f"{leaktrace_path()} is missing: run make first"
    # bpf(BPF_PROG_LOAD) with no attributes: EINVAL where BPF is there, EPERM or ENOSYS where it is not.
    libc = ctypes.CDLL(None, use_errno=True)
    attributes = ctypes.create_string_buffer(128)
    if libc.syscall(321, 5, attributes, 128) < 0 and ctypes.get_errno() in (1, 38):
        return f"this kernel or container does not let us load BPF programs: {os.strerror(ctypes.get_errno())}"
    return None


def wait_for(condition, seconds, what):
    """Call condition until it returns something true, and return that; fail after so many seconds."""
    seconds *= SLOWNESS
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.01)


def process_state(pid):
    """The state letter of a process in /proc (R, S, t, Z, ...); None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


class Report:
    """A report in JSON, with sums over its sites."""

    def __init__(self, data):
        self.data = data
        self.sites = data["sites"]
        self.totals = data["totals"]
        self.lost = data["lost"]

    def sum(self, belongs=lambda site: True):
        """The counts over the sites that belong."""
        return {c: sum(s[c] for s in self.sites if belongs(s)) for c in COUNTS}

    def of_pid(self, pid):
        return self.sum(lambda site: site["pid"] == pid)

    def booked(self, pid):
        """The counts of what a books fixture did: see books.h. Exceptions allocate by themselves, unbooked."""

        def belongs(site):
            # musl is built with neither call frame information nor frame pointers: nothing can look behind its strdup.
            cut = not site["complete"] and site["frames"] and re.match(r"strn?dup$", site["frames"][0]["function"] or "")
            return site["pid"] == pid and (cut or has_frame(site, r"\bbook_")) and not has_frame(site, r"^__cxa_")

        return self.sum(belongs)

    def check_nothing_lost(self):
        assert not any(self.lost.values()), f"lost: {self.lost}"

    def check_totals(self, counts=COUNTS):
        """The totals are the sums of the sites."""
        check_counts(self.totals, self.sum(), "totals and the sum of the sites", counts)


def has_frame(site, pattern):
    return any(re.search(pattern, frame.get("function") or "") for frame in site["frames"])


def check_counts(seen, expected, what, counts=COUNTS):
    """Compare counts by name; on a difference, fail with all of them."""
    different = [c for c in counts if seen[c] != expected[c]]
    assert not different, f"{what}: " + ", ".join(f"{c} {seen[c]}, not {expected[c]}" for c in different)


class Screen:
    """A terminal for a program to draw on, read as it comes so that the program never waits."""

    def __init__(self, cleanup):
        self.chunks = []
        reader, self.terminal = pty.openpty()
        cleanup.callback(os.close, self.terminal)
        threading.Thread(target=self._read, args=(reader,), daemon=True).start()

    def _read(self, reader):
        with contextlib.suppress(OSError):
            while chunk := os.read(reader, 4096):
                self.chunks.append(chunk)
        os.close(reader)

    def text(self):
        return b"".join(self.chunks).decode(errors="replace")


class Finished:
    """A program that has ended."""

    def __init__(self, status, out, err, report=None):
        self.status, self.out, self.err, self.report = status, out, err, report


class Context:
    """What a test works with; all that it started or made is ended and removed when the test is over."""

    def __init__(self):
        self.cleanup = contextlib.ExitStack()

    def __enter__(self):
        # Asked to end (a time limit, Ctrl-C): by an exception, so that everything is undone.
        signal.signal(signal.SIGTERM, self._on_end)
        signal.signal(signal.SIGINT, self._on_end)
        self.folder = self.cleanup.enter_context(tempfile.TemporaryDirectory(prefix="leaktop-test-"))
        return self

    def __exit__(self, *exception):
        return self.cleanup.__exit__(*exception)

    @staticmethod
    def _on_end(number, frame):
        raise SystemExit(f"ended by signal {number}")

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, *command, env=None, timeout=DEFAULT_LIMIT, **options):
        """Run a program to its end. Returns its status and what it printed."""
        done = subprocess.run(
            command,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout * SLOWNESS,
            env={**os.environ, **(env or {})},
            check=False,
            **options,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def start(self, *command, env=None, **options):
        """Start a program with pipes on its standard streams; it is killed at the end of the test if it still runs."""
        process = subprocess.Popen(
            command,
            stdin=options.pop("stdin", subprocess.PIPE),
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=options.pop("stderr", None),
            text=True,
            errors="replace",
            env={**os.environ, **(env or {})},
            **options,
        )
        self.cleanup.callback(self._end, process)
        return process

    @staticmethod
    def _end(process):
        if process.poll() is None:
            process.kill()
        for stream in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(OSError):
                if stream:
                    stream.close()
        process.wait(10 * SLOWNESS)

    def leaktrace(self, *arguments, expect=0, env=None, timeout=DEFAULT_LIMIT, **options):
        """Run leaktrace with --json to its end; check its exit status, and read its report when that is 0 or 1."""
        path = self.path("report.json")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        done = self.run(
            leaktrace_path(), "--json", path, *map(str, arguments), env=env, timeout=timeout, **options
        )
        assert done.status == expect, f"leaktrace ended with {done.status}, not {expect}: {done.err.strip()}"
        if os.path.exists(path):
            with open(path) as file:
                done.report = Report(json.load(file))
        return done

    def attach(self, pid, *arguments, json_path=None, env=None):
        """Start leaktrace on a running process and wait until all its probes are in place."""
        screen = Screen(self.cleanup)
        json_path = json_path or self.path(f"attached-{pid}.json")
        tracer = self.start(
            leaktrace_path(), "--pid", str(pid), "--json", json_path, *map(str, arguments),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=screen.terminal, env=env,
        )

        def attached():
            assert tracer.poll() is None, f"leaktrace ended with {tracer.returncode}: {screen.text().strip()}"
            # The line of progress: tracing has begun.
            return " calls, " in screen.text()

        wait_for(attached, 20, "leaktrace to attach")
        tracer.json_path = json_path
        tracer.screen = screen
        return tracer

    def end_leaktrace(self, tracer, how=signal.SIGINT):
        """End an attached leaktrace early and read its report."""
        if how and tracer.poll() is None:
            tracer.send_signal(how)
        assert tracer.wait(30 * SLOWNESS) == 0, f"leaktrace ended with {tracer.returncode}: {tracer.screen.text()[-300:]}"
        with open(tracer.json_path) as file:
            return Report(json.load(file))

    def books(self, path):
        """The lines that books fixtures wrote, in the order of their ends."""
        with open(path) as file:
            return [json.loads(line) for line in file]


def expect_line(process, text, seconds=20):
    """Read a line from a started process and check it."""
    # The pipe is line by line and the target alive: the runner's time limit ends a wait that is in vain.
    line = process.stdout.readline().strip()
    assert line == text, f"expected {text!r}, got {line!r}"


def tell(process, text="go"):
    process.stdin.write(text + "\n")
    process.stdin.flush()
