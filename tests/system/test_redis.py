# SPDX-License-Identifier: GPL-2.0-or-later
"""A redis-server linked with jemalloc, under load: leaktrace agrees with jemalloc's own statistics."""

import json
import os
import re
import subprocess

from harness import Report, Skip, check_counts, leaktrace_path, limit, tool, wait_for
from test_programs import read_witness, witness_command


def redis_server():
    server = tool("redis-server")
    libraries = subprocess.run(["ldd", server], capture_output=True, text=True, check=True).stdout
    if "libjemalloc" not in libraries:
        raise Skip("this redis-server does not use a shared jemalloc")
    return server


class Redis:
    """A server of our own on a Unix socket, with nothing on disk."""

    def __init__(self, t):
        self.t = t
        self.socket = t.path("redis.sock")
        self.command = (
            redis_server(), "--port", "0", "--unixsocket", self.socket, "--dir", t.folder, "--save", "",
            "--appendonly", "no", "--daemonize", "no", "--logfile", "/dev/null", "--enable-debug-command", "yes",
            "--slowlog-log-slower-than", "-1",
        )

    def ask(self, *words):
        return self.t.run(tool("redis-cli"), "-s", self.socket, *words).out.strip()

    def wait(self):
        def answers():
            return os.path.exists(self.socket) and self.ask("PING") == "PONG"

        wait_for(answers, 30, "redis-server to answer")

    def load(self):
        kinds = "set,get,lpush,lpop,sadd,hset,zadd"
        options = ("-s", self.socket, "-q", "-n", "6000", "-r", "5000", "-c", "10", "-t", kinds)
        done = self.t.run(tool("redis-benchmark"), *options, timeout=120)
        assert done.status == 0, done.err

    def pid(self):
        return int(re.search(r"process_id:(\d+)", self.ask("INFO", "server")).group(1))

    def trace(self, *command, env=None):
        """Run the server under leaktrace from its first allocation, with load, until it is shut down."""
        path = self.t.path("report.json")
        errors = self.t.path("errors")
        with open(errors, "w") as file:
            tracer = self.t.start(leaktrace_path(), "--json", path, "--", *command, env=env, stderr=file)
        self.wait()
        self.load()
        pid = self.pid()
        self.ask("SHUTDOWN", "NOSAVE")
        assert tracer.wait(60) == 0, f"leaktrace ended with {tracer.returncode}"
        with open(path) as report, open(errors) as text:
            return pid, Report(json.load(report)), text.read()


def jemalloc_statistics(text):
    """The `total:` line of jemalloc's statistics over all arenas, as live blocks, and its own blocks among them."""
    section = re.split(r"^Merged arenas stats:", text, flags=re.MULTILINE)[-1]
    total = re.search(r"^total:\s+(\d+)\s+(\d+)\s+\d+\s+(\d+)", section, re.MULTILINE)
    assert total, f"no statistics from jemalloc: {text[-300:]}"
    return {
        "blocks": int(total.group(2)) - int(total.group(3)),
        "internal": int(re.search(r"^internal:\s+(\d+)", section, re.MULTILINE).group(1)),
        "cached": int(re.search(r"^tcache_bytes:\s+(\d+)", section, re.MULTILINE).group(1)),
    }


@limit(180)
def test_statistics_at_exit(t):
    """Live blocks at the end of the process: jemalloc's own number, which it prints from an exit handler."""
    redis = Redis(t)
    # Without thread caches, where blocks that the program freed still count as allocated.
    pid, report, text = redis.trace(*redis.command, env={"MALLOC_CONF": "stats_print:true,tcache:false"})
    report.check_nothing_lost()
    statistics = jemalloc_statistics(text)
    # One block more than the program's calls explain, in every run, is jemalloc's own: it says that it holds 64 KiB.
    assert statistics["internal"] == 65536 and statistics["cached"] == 0, statistics
    seen = report.of_pid(pid)
    assert seen["live_blocks"] > 10000, f"no load: {seen}"
    assert seen["live_blocks"] == statistics["blocks"] - 1, f"{seen}, jemalloc has {statistics}"


@limit(180)
def test_witness(t):
    """jemalloc as it comes, with the thread caches that its inlined fast paths serve."""
    redis = Redis(t)
    command, environment, path = witness_command(t, *redis.command)
    pid, report, _ = redis.trace(*command, env=environment)
    report.check_nothing_lost()
    check_counts(report.of_pid(pid), read_witness(path), "redis-server and the witness")


@limit(180)
def test_attached(t):
    """leaktrace comes to a server that runs: what was born since is what jemalloc has grown by."""
    redis = Redis(t)
    server = t.start(*redis.command)
    redis.wait()

    def blocks():
        # A thread without a cache has given back what was in it.
        redis.ask("DEBUG", "MALLCTL", "thread.tcache.enabled", "0")
        statistics = jemalloc_statistics(redis.ask("MEMORY", "MALLOC-STATS"))
        redis.ask("DEBUG", "MALLCTL", "thread.tcache.enabled", "1")
        return statistics["blocks"]

    before = blocks()
    tracer = t.attach(server.pid)
    redis.load()
    after = blocks()
    report = t.end_leaktrace(tracer)
    report.check_nothing_lost()
    live = report.of_pid(server.pid)["live_blocks"]
    # Not exact by nature: blocks from before leaktrace came are freed and replaced (tables that grow, buffers of
    # clients), and jemalloc was asked from within a command that holds a few blocks itself.
    assert after - before > 10000, f"no load: {before}, then {after} blocks"
    assert abs(live - (after - before)) <= 100, f"{live} live, jemalloc grew from {before} to {after} blocks"
    assert redis.ask("PING") == "PONG", "the server does not answer any more"
