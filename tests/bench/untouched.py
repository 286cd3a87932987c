"""Code without a probe, while the agent is there, and while a probe is armed elsewhere."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from probing import PROBE_ID, put, tagged_line, twin
from program import CASES, plain
from rivals import RIVALS
from timing import Contestant, Figures, Row, compare

import probe_agent

CALLS = 4000
CONDITION = "amount > 1000"
ARGUMENTS = CASES[f"condition false, `{CONDITION}`"].arguments


def agent_loaded(rounds: int) -> Figures:
    function = twin(plain)
    with tempfile.TemporaryDirectory(prefix="sonde") as folder:
        within = {"no agent": None, "agent loaded": _agent(f"unix:{folder}/hub.sock")}
        return _in_turn(function, within, rounds=2 * rounds)


def probe_elsewhere(rounds: int) -> Figures:
    """The same function in each contestant: what changes is another one."""
    function, other = twin(plain), twin(plain)
    rivals = {
        f"{name} elsewhere": rival(other.__code__, tagged_line(plain), CONDITION)
        for name, rival in RIVALS.items()
    }
    states = {"no probe": None, "probe elsewhere": _probe_on(other)}
    ours = _in_turn(function, states, rounds=3 * rounds)
    theirs = _in_turn(function, {"no probe": None} | rivals, rounds=rounds)
    return ours | {name: figure for name, figure in theirs.items() if name not in ours}


def _in_turn(
    function: Callable[..., object],
    within: dict[str, Callable[[], AbstractContextManager[None]] | None],
    *,
    rounds: int,
) -> Figures:
    contestants = {
        name: Contestant(function, ARGUMENTS, *([state] if state else []))
        for name, state in within.items()
    }
    return compare(contestants, calls=CALLS, rounds=rounds)


def _agent(hub: str) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def running() -> Iterator[None]:
        code = plain.__code__
        probe_agent.start("bench", environment="bench", version="1", hub=hub)
        yield
        assert plain.__code__ is code, "not the original"
        probe_agent.stop()

    return running


def _probe_on(function: Callable[..., object]) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def armed() -> Iterator[None]:
        rewriter, _ = put(function, tagged_line(plain), condition=CONDITION)  # type: ignore[arg-type]
        yield
        rewriter.remove(PROBE_ID)

    return armed


ROWS: dict[str, Row] = {
    "no probe, agent loaded": agent_loaded,
    "unrelated function, probe armed elsewhere": probe_elsewhere,
}
