# SPDX-License-Identifier: GPL-2.0-or-later
"""The stacks that are walked in the kernel are those that libdw's unwinder finds at the same stop (tests/truth)."""

import json
import os
import re

import harness
from harness import ROOT, Skip, fixture, limit, tool
from test_redis import Redis

SQL = os.path.join(ROOT, "tests", "bench", "sqlite.sql")
PYTHON_SCRIPT = """
import csv, ctypes, datetime, decimal, io, json, random, re, sqlite3, threading, zlib
from functools import cmp_to_key, lru_cache, reduce

random.seed(5)
words = [format(random.getrandbits(64), "x") for i in range(3000)]

def recurse(depth):
    return [str(depth)] + recurse(depth - 1) if depth else []

@lru_cache(maxsize=None)
def cached(depth):
    return str(depth) + cached(depth - 1)[:20] if depth else ""

class Item:
    def __init__(self, word):
        self.word, self.twice = word, word * 2
    def __lt__(self, other):
        return self.word + "a" < other.word + "b"
    def __del__(self):
        self.word + self.twice

def work():
    json.loads(json.dumps({word: [word[:3], {"n": i}] for i, word in enumerate(words[:600])}, indent=1))
    sorted(words, key=lambda word: word[::-1])
    sorted(map(Item, words[:300]))
    sorted(words[:300], key=cmp_to_key(lambda a, b: (a + "1" > b) - (a < b + "1")))
    re.sub("[0-9]+|(ab)*c?", lambda match: match.group(0) * 2, " ".join(words[:500]))
    reduce(lambda sum, word: sum + decimal.Decimal(int(word, 16)) / 7, words[:300], decimal.Decimal(0))
    recurse(100), cached(100)
    try:
        recurse(5000)
    except RecursionError as error:
        str(error)
    rows = list(csv.reader(io.StringIO(",\\n".join(words[:500]))))
    database = sqlite3.connect(":memory:")
    database.create_function("twice", 1, lambda text: text * 2)
    database.execute("create table t(a text, b text)")
    database.executemany("insert into t values(?, twice(?))", ((word, word) for word in words[:200]))
    database.execute("select twice(a) from t order by b").fetchall()
    qsort = ctypes.CDLL(None).qsort
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    qsort((ctypes.c_int * 20)(*range(20, 0, -1)), 20, 4, compare(lambda a, b: len(str(a[0]) * 9) and a[0] - b[0]))
    zlib.decompress(zlib.compress(json.dumps(rows).encode()))
    datetime.datetime(2020, 2, 2).strftime("%A %c")

work()
threads = [threading.Thread(target=work) for i in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""

# Where the two may differ in the fixtures, which go out of their way to be interrupted everywhere.
EXPLAINED = "|".join((
    # A signal at the beginning or end of a function that realigns its stack: the CFA is in r10 there.
    r"ours ends early in stacks(-no-fp)?: (unsupported unwind information|unreadable memory)",
    # Nothing says that a coroutine has no caller; libdw follows the frame pointer to whoever made it.
    r"ours ends early in libc\S*: no unwind information",
    # Another thread was mapping memory.
    r"ours ends early in \S+: mappings busy",
    r"libdw ends early in ld-linux",
))


def truth(every, *command):
    """The command that compares the stacks at one of so many allocator calls of another command."""
    path = os.path.join(harness.BUILD, "tests", "truth")
    if not os.path.exists(path):
        raise Skip(f"{path} is not built")
    return (path, "--every", str(every), "--", *command)


def result(status, out, err):
    assert status == 0, f"truth ended with {status}: {err.strip()}"
    data = json.loads(out.strip().splitlines()[-1])
    assert data["status"] == 0, f"the program ended with {data['status']}: {err.strip()}"
    assert data["no_room"] == 0, f"{data['no_room']} samples were given up"
    assert data["recalled_wrongly"] == 0, f"{data['recalled_wrongly']} stacks were taken for others"
    print(f"{data['recalled']} of {data['calls']} stacks recognized")
    return data


def run(t, every, *command, env=None, stdin=os.devnull):
    with open(stdin) as source:
        # The first program's rows are built anew, also those of libraries; the later ones' come from the cache.
        environment = {"XDG_CACHE_HOME": t.folder, **(env or {})}
        done = t.run(*truth(every, *command), env=environment, stdin=source, timeout=120)
    return result(done.status, done.out, done.err)


def sqlite(t):
    return run(t, 130, tool("sqlite3"), ":memory:", stdin=SQL)


def python(t):
    # Every object by malloc.
    return run(t, 200, "/usr/bin/python3", "-s", "-c", PYTHON_SCRIPT, env={"PYTHONMALLOC": "malloc"})


def redis(t):
    server = Redis(t)
    with open(t.path("redis.out"), "w") as out:
        tracer = t.start(*truth(90, *server.command), stdout=out)
    server.wait()
    server.load()
    server.ask("EVAL", "local t = {} for i = 1, 2000 do t[i] = tostring(i) .. 'x' end return #table.concat(t)", "0")
    server.ask("SHUTDOWN", "NOSAVE")
    status = tracer.wait(60)
    with open(t.path("redis.out")) as out:
        return result(status, out.read(), "")


def c_frame_pointers(t):
    return run(t, 13, fixture("stacks"), fixture("stacks-plugin.so"))


def c(t):
    return run(t, 7, fixture("stacks-no-fp"), fixture("stacks-plugin.so"))


def cxx(t):
    return run(t, 10, fixture("stacks-cxx"))


@limit(300)
def test_equal(t):
    """At least 99.5 of 100 stacks, and 99 of every program's, are equal frame by frame, up to the outermost."""
    if tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) < (5, 17):
        raise Skip("stacks are walked along frame pointers alone before Linux 5.17")
    results = {}
    for program in (sqlite, python, redis, c_frame_pointers, c, cxx):
        data = results[program.__name__] = program(t)
        print(f"{program.__name__}: {data['equal']} of {data['samples']} stacks equal")
        if data["disturbed"]:
            print(f"  {data['disturbed']} left out: another tracer has return probes in them")
        for miss in data["misses"]:
            print(f"  {miss['count']}: {miss['reason']}\n      {miss['example']}")
    # It was a test: enough stacks, deep ones, interrupted ones, and a judge that came to their ends.
    total = {name: sum(data[name] for data in results.values()) for name in ("samples", "equal", "libdw_failed")}
    assert total["samples"] >= 20000, f"only {total['samples']} stacks"
    assert total["libdw_failed"] <= total["samples"] / 100, f"libdw gave up on {total['libdw_failed']} stacks"
    for name in ("c", "c_frame_pointers"):
        assert results[name]["deepest"] == 127, f"{name}: {results[name]['deepest']} frames at most"
        assert results[name]["signal_frames"] > 500, f"{name}: {results[name]['signal_frames']} with a signal frame"
    for name in ("c", "c_frame_pointers", "cxx"):
        new = [miss for miss in results[name]["misses"] if not re.match(EXPLAINED, miss["reason"])]
        assert not new, f"{name}: {new}"
    # A frame that is wrong is worse than one that is missing.
    for name, data in results.items():
        wrong = sum(miss["count"] for miss in data["misses"] if miss["reason"].startswith("another caller"))
        assert wrong <= data["samples"] / 1000, f"{name}: {wrong} stacks with a wrong frame"
    few = {name: data for name, data in results.items() if data["equal"] < 0.99 * data["samples"]}
    shares = ", ".join(f"{name} {100 * data['equal'] / data['samples']:.2f} %" for name, data in few.items())
    assert not few, f"less than 99 % of the stacks are equal: {shares}"
    share = 100 * total["equal"] / total["samples"]
    assert share >= 99.5, f"{share:.2f} % of the stacks are equal"
