"""`make teeth`: `python -m teeth.run`, in the folder of the tests.

On each Python that is here: the named tests are green as they are; then each rule is switched off
by itself, in a copy, and one of its tests must turn red: by a failed assertion, an exception of the
code under test or a crash, not because the change broke an import. About ten minutes in all.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matrix import SUPPORTED, environment, find_python, this_version
from teeth.copies import Job, Outcome, copy_of, forget_compiled, make_copy, run_jobs
from teeth.rule import Rule
from teeth.rules import RULES

_ONE_RULE_S = 60
_ALL_GREEN_S = 300
_SHOWN = 90
# The proof with threads: rounds of placing and removing, as the issue has it.
_THREADS = "test_rewrite_threads.py"
_ROUNDS = {"SONDE_ROUNDS": "1000"}


@dataclass(frozen=True)
class Verdict:
    """What switching off one rule did on one Python. `is_noticed`: a test turned red for a right
    reason. `why`: that reason, or what happened instead.
    """

    rule: Rule
    version: str
    is_noticed: bool
    why: str


def interpreters(versions: Sequence[str]) -> dict[str, Path]:
    """Find the Pythons that are here, with what the agent's tests need."""
    found = {}
    for version in versions:
        if version == this_version():
            found[version] = Path(sys.executable)
        elif (python := find_python(version)) is not None:
            found[version] = environment(version, python, "agent-test")
    return found


def examine(rules: Sequence[Rule], version: str, python: Path, copy: Path) -> list[Verdict]:
    """Switch off each rule that means something on this Python. Args: copy: where all is green."""
    wanted = [rule for rule in rules if rule.tests and version not in rule.redundant]
    prepared = [_switched_off(rule, copy, number) for number, rule in enumerate(wanted)]
    jobs = [job for job in prepared if isinstance(job, Job)]
    outcomes = dict(zip(map(id, jobs), run_jobs(python, jobs, _ONE_RULE_S), strict=True))
    return [
        _verdict(rule, version, outcomes.get(id(job)), job)
        for rule, job in zip(wanted, prepared, strict=True)
    ]


def green(rules: Sequence[Rule], version: str, python: Path, copy: Path) -> Outcome:
    """Run all named tests as they are."""
    tests = {t: None for r in rules if version not in r.redundant for t in r.tests}
    return run_jobs(python, [Job(copy, list(tests))], _ALL_GREEN_S)[0]


def _switched_off(rule: Rule, copy: Path, number: int) -> Job | LookupError:
    own = copy_of(copy, copy.parent / str(number))
    try:
        rule.switch_off(own / "probe_agent")
    except LookupError as error:
        return error
    forget_compiled(own / "probe_agent" / rule.file)
    return Job(own, rule.tests)


def _verdict(rule: Rule, version: str, outcome: Outcome | None, job: Job | LookupError) -> Verdict:
    if outcome is None:
        return Verdict(rule, version, is_noticed=False, why=str(job))
    if outcome.red:
        return Verdict(rule, version, is_noticed=True, why=outcome.red)
    why = "STILL GREEN" if outcome.passed else f"did not run: {outcome.output[-400:]}"
    return Verdict(rule, version, is_noticed=False, why=why)


def prove_threads(version: str, python: Path, copy: Path) -> bool:
    """Place and remove 1,000 times while 8 threads call, plain and in development mode."""
    passed = True
    for settings in (_ROUNDS, _ROUNDS | {"PYTHONDEVMODE": "1"}):
        (outcome,) = run_jobs(python, [Job(copy, [_THREADS])], _ALL_GREEN_S, settings)
        mode = "development mode" if "PYTHONDEVMODE" in settings else "plain"
        word = "no wrong result, no hit lost" if outcome.passed else outcome.output
        print(f"{version}  1,000 rounds with 8 threads, {mode}: {word}", flush=True)
        passed = passed and outcome.passed
    return passed


def report(verdicts: Sequence[Verdict]) -> None:
    """Print one line for each rule and Python, the unnoticed ones last."""
    for verdict in sorted(verdicts, key=lambda v: not v.is_noticed):
        word = "red" if verdict.is_noticed else "NOT NOTICED"
        print(f"{verdict.version}  {word:11}  {verdict.rule.name}  ({verdict.why[:_SHOWN]})")
    print(f"{sum(v.is_noticed for v in verdicts)} of {len(verdicts)} noticed", flush=True)


def report_redundant(rules: Sequence[Rule]) -> None:
    """Print which rules nothing can notice, and why."""
    for rule in rules:
        for version, why in rule.redundant.items():
            print(f"{version}  redundant    {rule.name}: {why}")


def on_one(rules: Sequence[Rule], version: str, python: Path, *, threads: bool) -> bool:
    """Do all of it on one Python. Returns: whether it is as it should be."""
    with tempfile.TemporaryDirectory(prefix="teeth") as folder:
        copy = make_copy(Path(folder) / "copy")
        before = green(rules, version, python, copy)
        if not before.passed:
            print(f"{version}  the tests are not all green as they are:\n{before.output}")
            return False
        verdicts = examine(rules, version, python, copy)
        report(verdicts)
        steady = prove_threads(version, python, copy) if threads else True
    return steady and all(verdict.is_noticed for verdict in verdicts)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", action="append", choices=SUPPORTED, help="only on this one")
    parser.add_argument(
        "--rule", action="append", default=[], help="only those with this in the name"
    )
    parser.add_argument(
        "--no-threads", action="store_true", help="leave out the proof with threads"
    )
    asked = parser.parse_args(arguments)
    rules = [r for r in RULES if not asked.rule or any(part in r.name for part in asked.rule)]
    if not rules:
        parser.error("no rule has that in its name")
    found = interpreters(asked.python or SUPPORTED)
    clean = [
        on_one(rules, version, python, threads=not asked.no_threads)
        for version, python in found.items()
    ]
    report_redundant(rules)
    for version in set(asked.python or SUPPORTED) - set(found):
        print(f"{version}  NOT RUN, no interpreter found")
    return int(not all(clean))


if __name__ == "__main__":
    sys.exit(main())
