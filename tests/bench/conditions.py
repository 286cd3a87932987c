"""Conditions that are false: the probed function beside the same line by hand, and beside rivals."""

from __future__ import annotations

from types import FunctionType

from probing import probed, tagged_line, twin
from program import CASES, Case, plain
from rivals import RIVALS
from timing import Contestant, Figures, Row, compare

CALLS = 1000
# A rival's call takes some 20 times as long.
CALLS_OF_RIVALS = 200


def false_condition(case: Case, rounds: int) -> Figures:
    def calls(function: FunctionType) -> Contestant:
        return Contestant(function, case.arguments)

    contestants = {
        "by hand": calls(case.by_hand),
        "no probe": calls(plain),
        "probe": calls(probed(plain, condition=case.condition)[0]),
    }
    # Apart from the rivals: `sys.settrace` changes all code of the process each time.
    ours = compare(contestants, calls=CALLS, rounds=3 * rounds)
    theirs = beside_rivals(case, rounds)
    return ours | {name: figure for name, figure in theirs.items() if name not in ours}


def beside_rivals(case: Case, rounds: int) -> Figures:
    contestants = {"by hand": Contestant(case.by_hand, case.arguments)}
    for name, rival in RIVALS.items():
        function = twin(plain)
        within = rival(function.__code__, tagged_line(plain), case.condition)
        contestants[name] = Contestant(function, case.arguments, within)
    return compare(contestants, calls=CALLS_OF_RIVALS, rounds=rounds)


ROWS: dict[str, Row] = {
    name: lambda rounds, case=case: false_condition(case, rounds)  # type: ignore[misc]
    for name, case in CASES.items()
}
