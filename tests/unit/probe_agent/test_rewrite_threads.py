"""Probes come and go while 8 threads call: no wrong result, no hit lost once armed, no crash.

A slice; `make teeth` runs 1,000 rounds, with and without PYTHONDEVMODE.
"""

import os
import sys
import threading
import types

import pytest

from probe_agent.plain import UNBOUND
from probe_agent.rewrite import Insertion, Rewriter, variables

ROUNDS = int(os.environ.get("SONDE_ROUNDS", "60"))  # noqa: TID251  the runner of `make teeth` says it
THREADS = 8
# Of so many rounds that ended, at most one in each thread can have begun before.
ENOUGH = 2 * THREADS
WAIT_S = 30
# How often a round of calls comes to each tagged line.
PER_ROUND = {"plain": 1, "looping": 3, "inner": 1, "numbers": 3}
TAGS = [*PER_ROUND]
PROGRAM = """
def plain(x):
    y = x + 1
    return y  # probe: plain

def looping(n):
    total = 0
    for i in range(n):
        try:
            total += i  # probe: looping
        finally:
            last = i
    return total, last

def maker(n):
    def inner(x):
        return x + n  # probe: inner
    return inner

def numbers(n):
    for i in range(n):
        yield i  # probe: numbers
"""


def line_of(tag):
    return next(n for n, text in enumerate(PROGRAM.splitlines(), 1) if f"# probe: {tag}" in text)


def chain_to(program, tag):
    if tag != "inner":
        return (getattr(program, tag).__code__,)
    outer = program.maker.__code__
    return (outer, next(c for c in outer.co_consts if type(c) is types.CodeType))


class Callers:
    """Threads that call all the time. `begun`, `ended`: how many rounds of calls each has."""

    def __init__(self, program):
        self.program = program
        self.stop = threading.Event()
        self.wrong = []
        self.begun, self.ended = [0] * THREADS, [0] * THREADS
        self.news = threading.Semaphore(0)
        self.threads = [threading.Thread(target=self._call, args=(n,)) for n in range(THREADS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.stop.set()
        for thread in self.threads:
            thread.join(WAIT_S)
        assert not any(thread.is_alive() for thread in self.threads)

    def _call(self, number):
        program = self.program
        try:
            while not self.stop.is_set():
                self.begun[number] += 1
                results = program.plain(number), program.looping(3), program.maker(2)(3)
                if (*results, list(program.numbers(3))) != (number + 1, (3, 2), 5, [0, 1, 2]):
                    self.wrong.append(results)
                self.ended[number] += 1
                self.news.release()
        except BaseException as error:  # noqa: BLE001  whatever it is, it must not be there
            self.wrong.append(error)
            self.news.release(ENOUGH)

    def whole_rounds(self):
        """Wait until rounds have begun and ended. Returns: at least how many, by thread."""
        self.news = threading.Semaphore(0)
        begun = [*self.begun]
        for _ in range(ENOUGH):
            assert self.news.acquire(timeout=WAIT_S)
        return [max(0, e - b) for e, b in zip([*self.ended], begun, strict=True)]


@pytest.fixture
def quick_switching():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def program():
    namespace = {"__name__": "program"}
    exec(compile(PROGRAM, "<program>", "exec"), namespace)
    return types.SimpleNamespace(**namespace)


class Hits:
    """An insertion for each function, and its hits by thread."""

    def __init__(self, program, callers):
        self.chains = {tag: chain_to(program, tag) for tag in PER_ROUND}
        self.numbers = {thread.ident: n for n, thread in enumerate(callers.threads)}
        self.counts = {}

    def insertion(self, tag):
        names = variables(self.chains[tag][-1])
        counts = self.counts[tag] = [0] * THREADS
        numbers = self.numbers

        def hit(*values):
            counts[numbers[threading.get_ident()]] += values.count(UNBOUND) < len(values)

        return Insertion(tag, line_of(tag), lambda *values: True, names, hit, names)


@pytest.mark.usefixtures("quick_switching")
@pytest.mark.timeout(ROUNDS)  # a slice takes about a second
def test_placing_and_removing_while_eight_threads_call_changes_no_result_and_loses_no_hit(program):
    functions = [program.plain, program.looping, program.maker, program.numbers]
    originals = [function.__code__ for function in functions]
    rewriter = Rewriter(lambda codes: functions)
    inside = 0
    with Callers(program) as callers:
        hits = Hits(program, callers)
        for round_number in range(ROUNDS):
            tags = TAGS[round_number % 4 :] + TAGS[: round_number % 4]
            for tag in tags[:2]:
                rewriter.place(hits.chains[tag], hits.insertion(tag))
            whole = callers.whole_rounds()
            for tag in tags[:2]:
                fewest = [count * PER_ROUND[tag] for count in whole]
                assert all(a >= b for a, b in zip(hits.counts[tag], fewest, strict=True)), tag
            for tag in tags[:2]:
                rewriter.remove(tag)
            assert callers.wrong == []
            inside += sum(whole)
    rewriter.sweep()
    assert inside >= ROUNDS * (ENOUGH - THREADS)
    assert all(f.__code__ is code for f, code in zip(functions, originals, strict=True))
