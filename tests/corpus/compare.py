"""Compare what a part's tests came to with probes and without."""

from __future__ import annotations

from dataclasses import dataclass

_SKIPPED = {"skipped", "setup skipped"}


@dataclass(frozen=True)
class Difference:
    """One test that came out otherwise. `detail`: the end of its traceback, with probes or without."""

    part: str
    run: str
    test_id: str
    untouched: str
    probed: str
    detail: str


@dataclass(frozen=True)
class Ended:
    """What a process left: a result, or how it ended without one (`why`)."""

    result: dict | None
    why: str
    seconds: float


def differences(part: str, run: str, untouched: dict, probed: dict) -> list[Difference]:
    """List the tests and subtests whose outcomes are not equal, order and number included."""
    found = []
    for kind in ("tests", "subtests"):
        before, after = untouched[kind], probed[kind]
        found += [
            Difference(
                part,
                run,
                test_id,
                _said(before.get(test_id)),
                _said(after.get(test_id)),
                probed["details"].get(test_id, untouched["details"].get(test_id, "")),
            )
            for test_id in sorted({*before, *after})
            if before.get(test_id) != after.get(test_id)
        ]
    return found


def _said(outcomes: list[str] | None) -> str:
    return "not run" if outcomes is None else ", ".join(outcomes)


def cases_run(result: dict) -> int:
    """Count the tests that did more than be skipped."""
    return sum(1 for said in result["tests"].values() if set(said) - _SKIPPED)
