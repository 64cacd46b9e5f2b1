#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the system tests: every function test_* in test_*.py beside this file, each in a process of its own.

Prints `ok NAME (seconds)`, `FAIL NAME: reason` or `skip NAME: reason`, and at the end `N passed, N failed`. Exit status:
0 when nothing failed, 1 when something did, 2 when nothing can be run here.
"""

import argparse
import importlib
import os
import select
import signal
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)

import harness  # noqa: E402


def discover():
    """All tests as (name, function, arguments), in the order of their files and lines."""
    tests = []
    for file in sorted(os.listdir(HERE)):
        if not (file.startswith("test_") and file.endswith(".py")):
            continue
        module = importlib.import_module(file[:-3])
        functions = [f for n, f in vars(module).items() if n.startswith("test_") and callable(f)]
        functions.sort(key=lambda f: f.__code__.co_firstlineno)
        for function in functions:
            name = f"{file[5:-3]}.{function.__name__[5:]}"
            cases = getattr(function, "cases", None)
            if cases is None:
                tests.append((name, function, ()))
            for case in cases or []:
                tests.append((f"{name}[{':'.join(map(str, case))}]", function, case))
    return tests


def run_in_child(function, arguments, result_fd):
    """Run one test and write its outcome, one word and a reason, to result_fd."""
    os.setsid()
    outcome, reason = "ok", ""
    try:
        with harness.Context() as context:
            function(context, *arguments)
    except harness.Skip as skip:
        outcome, reason = "skip", str(skip)
    except AssertionError as failure:
        line = traceback.extract_tb(failure.__traceback__)[-1]
        where = f"{os.path.basename(line.filename)}:{line.lineno}"
        outcome, reason = "FAIL", f"{failure} ({where})" if str(failure) else f"{line.line} ({where})"
    except Exception:
        outcome, reason = "FAIL", traceback.format_exc()
    with os.fdopen(result_fd, "w") as result:
        result.write(f"{outcome} {reason}")


def run_test(function, arguments):
    """Run one test in a child with a time limit. Returns its outcome and the reason."""
    limit = getattr(function, "limit", harness.DEFAULT_LIMIT) * harness.SLOWNESS
    reader, writer = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.close(reader)
        status = 0
        try:
            run_in_child(function, arguments, writer)
        except BaseException:
            traceback.print_exc()
            status = 1
        finally:
            os._exit(status)
    os.close(writer)
    deadline = time.monotonic() + limit
    text = b""
    try:
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([reader], [], [], left)[0]:
                end_session(child)
                return "FAIL", f"not done within {limit:g} s"
            chunk = os.read(reader, 65536)
            if not chunk:
                break
            text += chunk
    except KeyboardInterrupt:
        end_session(child)
        raise
    finally:
        os.close(reader)
        os.waitpid(child, 0)
    outcome, _, reason = text.decode(errors="replace").partition(" ")
    return (outcome, reason) if outcome else ("FAIL", "the test ended without a result")


def end_session(leader):
    """End a test, asking first so that it can undo mounts and end what it started; then all of its session."""
    try:
        os.kill(leader, signal.SIGTERM)
        end = time.monotonic() + 5 * harness.SLOWNESS
        while time.monotonic() < end:
            # Not reaped here: the pid stays ours until run_test() waits for it.
            if os.waitid(os.P_PID, leader, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                break
            time.sleep(0.05)
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        pass


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        epilog="LEAKTOP_TEST_SLOWNESS in the environment: a factor for all time limits.",
    )
    parser.add_argument("--build", default=os.environ.get("BUILD"), help="the build folder (default: build)")
    parser.add_argument("--leaktrace", help="the leaktrace to test, when it is not the one in the build folder")
    parser.add_argument("--list", action="store_true", help="print the names and leave")
    parser.add_argument("--verbose", action="store_true", help="whole reasons, not their last line")
    parser.add_argument("pattern", nargs="*", help="run only tests whose name contains one of these")
    options = parser.parse_args()
    if options.build:
        harness.BUILD = os.path.abspath(options.build)
    # Nothing is to be found in, or left in, the cache of whoever runs the tests.
    os.environ["XDG_CACHE_HOME"] = os.path.join(harness.BUILD, "cache")
    if options.leaktrace:
        harness.LEAKTRACE = os.path.abspath(options.leaktrace)

    tests = [t for t in discover() if not options.pattern or any(p in t[0] for p in options.pattern)]
    if options.list:
        print("\n".join(name for name, _, _ in tests))
        return 0
    problem = harness.cannot_run()
    if problem:
        print(f"run.py: {problem}", file=sys.stderr)
        return 2

    counts = {"ok": 0, "FAIL": 0, "skip": 0}
    for name, function, arguments in tests:
        start = time.monotonic()
        outcome, reason = run_test(function, arguments)
        counts[outcome] += 1
        if outcome == "ok":
            print(f"ok {name} ({time.monotonic() - start:.1f} s)", flush=True)
        else:
            lines = reason.strip().splitlines() or ["no reason"]
            print(f"{outcome} {name}: {reason.strip() if options.verbose else lines[-1]}", flush=True)
    if not tests:
        print("run.py: no test has such a name", file=sys.stderr)
        return 2
    skipped = f", {counts['skip']} skipped" if counts["skip"] else ""
    print(f"{counts['ok']} passed, {counts['FAIL']} failed{skipped}")
    return 1 if counts["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
