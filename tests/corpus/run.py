"""`make corpus`: `python -m corpus.run`, in the folder of the tests.

Every part runs untouched, with conditions and with captures on every line; outcomes are compared
by test id. Hours, for all of it; what an equal run has left is taken from `.venvs/corpus-results`.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from corpus.child import UNTOUCHED
from corpus.compare import Difference, Ended, cases_run, differences
from corpus.introspection import cause_of
from corpus.parts import (
    Campaign,
    Interpreter,
    Part,
    interpreter,
    library_part,
    library_parts,
    package_named,
    package_parts,
    run_part,
)
from corpus.sources import corpus_python, source_of
from corpus.suites import PACKAGES
from matrix import ROOT, SUPPORTED, run_suite, this_version

RESULTS = ROOT / ".venvs" / "corpus-results"
IDENTITY = ("tests/corpus/test_identity.py", "--corpus")
# What the corpus has to show, see CONTRIBUTING.
LIBRARY_CASES_EACH = 8_000
PACKAGE_CASES = 10_000
HITS = 10_000_000
MOST_KNOWN_SHARE = 0.002


@dataclass
class Examined:
    """One part on one Python. `unsteady`: ids that differ without probes too, or not every time."""

    version: str
    part: Part
    cases: int = 0
    subtests: int = 0
    lines: int = 0
    hits: int = 0
    cpu_s: float = 0.0
    refused: int = 0
    unsteady: list[str] = field(default_factory=list)
    known: list[Difference] = field(default_factory=list)
    unknown: list[Difference] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not self.unknown and not self.ended

    def add(self, run: str, ended: Ended) -> None:
        if ended.result is None:
            self.ended.append(f"{run}: {ended.why}")
            return
        self.cpu_s += ended.result["cpu_s"]
        sums = ended.result["sums"]
        self.lines = max(self.lines, sums.get("lines", 0))
        self.hits += sums.get("hits", 0)
        self.refused += len(sums.get("refused", ()))

    def sort(self, found: Iterable[Difference]) -> None:
        for difference in found:
            known = cause_of(difference.test_id) is not None
            (self.known if known else self.unknown).append(difference)


def examine(campaign: Campaign, python: Interpreter, part: Part, only: str | None) -> Examined:
    """Run a part in all its ways and compare."""
    examined = Examined(python.version, part)
    untouched = run_part(campaign, python, part, UNTOUCHED)
    examined.add(UNTOUCHED, untouched)
    if untouched.result is None:
        return examined
    examined.cases = cases_run(untouched.result)
    examined.subtests = len(untouched.result["subtests"])
    for run in part.runs:
        if only in (None, run):
            probed = run_part(campaign, python, part, run)
            examined.add(run, probed)
            if probed.result is not None:
                found = differences(part.name, run, untouched.result, probed.result)
                examined.sort(_lasting(campaign, python, part, found, examined))
    return examined


def _lasting(
    campaign: Campaign,
    python: Interpreter,
    part: Part,
    found: list[Difference],
    examined: Examined,
) -> list[Difference]:
    """Run both again where they differ: a difference that does not come back is the test's own."""
    if all(cause_of(difference.test_id) for difference in found):
        return found
    run = found[0].run
    untouched = run_part(campaign, python, part, UNTOUCHED, ".again")
    probed = run_part(campaign, python, part, run, ".again")
    if untouched.result is None or probed.result is None:
        examined.add(f"{run} again", probed if untouched.result else untouched)
        return found
    examined.cpu_s += untouched.result["cpu_s"] + probed.result["cpu_s"]
    still = {d.test_id for d in differences(part.name, run, untouched.result, probed.result)}
    examined.unsteady += [d.test_id for d in found if d.test_id not in still]
    return [d for d in found if d.test_id in still]


def say(examined: Examined) -> None:
    verdict = "identical" if examined.is_clean and not examined.known else "DIFFERENT"
    if examined.is_clean and examined.known:
        verdict = "introspection"
    print(
        f"{examined.version} {examined.part.name:<40} {examined.cases:>6} cases "
        f"{examined.lines:>7} lines {examined.hits:>11,} hits {examined.cpu_s:>7.0f} s of CPU  {verdict}",
        flush=True,
    )
    for why in examined.ended:
        print(f"    {why}", flush=True)
    for name in examined.unsteady:
        print(f"    unsteady: {name}", flush=True)
    for d in (*examined.unknown, *examined.known):
        print(f"    {d.run}: {d.test_id}: {d.untouched} -> {d.probed} {cause_of(d.test_id) or ''}")


def show_table(everything: Sequence[Examined]) -> None:
    print(
        "\nPython  suite            parts   cases subtests    lines          hits    CPU s  known unsteady unknown ended"
    )
    rows = sorted({(e.version, e.part.suite) for e in everything})
    for version, suite in rows:
        mine = [e for e in everything if (e.version, e.part.suite) == (version, suite)]
        print(
            f"{version:<7} {suite:<16} {len(mine):>5} {sum(e.cases for e in mine):>7,} "
            f"{sum(e.subtests for e in mine):>8,} {sum(e.lines for e in mine):>8,} "
            f"{sum(e.hits for e in mine):>13,} {sum(e.cpu_s for e in mine):>8,.0f} {_tests(e.known for e in mine):>6} "
            f"{sum(len(e.unsteady) for e in mine):>8} {_tests(e.unknown for e in mine):>7} "
            f"{sum(len(e.ended) for e in mine):>5}"
        )


def _tests(found: Iterable[list[Difference]]) -> int:
    """Count tests: one that differs in both runs, or in several subtests, counts once."""
    return sum(len({d.test_id.partition(" ")[0] for d in differences}) for differences in found)


def shortcomings(everything: Sequence[Examined], *, is_complete: bool) -> list[str]:
    """List what keeps the corpus from being proof. The sums are asked of a complete run only."""
    cases = sum(e.cases for e in everything)
    known = _tests(e.known for e in everything)
    found = [f"{e.version} {e.part.name}: {why}" for e in everything for why in e.ended]
    found += [f"{e.version}: {d.test_id} ({d.run})" for e in everything for d in e.unknown]
    if not cases:
        found.append("no test ran")
    if is_complete and known > cases * MOST_KNOWN_SHARE:
        found.append(f"{known} known differences in {cases} cases: more than 0.2 %")
    if is_complete:
        found += _too_few(everything)
    return found


def _too_few(everything: Sequence[Examined]) -> list[str]:
    found = []
    for version in SUPPORTED:
        cases = sum(
            e.cases for e in everything if (e.version, e.part.suite) == (version, "library")
        )
        if cases < LIBRARY_CASES_EACH:
            found.append(f"{version}: {cases} cases of the library, not {LIBRARY_CASES_EACH}")
    cases = sum(e.cases for e in everything if e.part.suite != "library")
    hits = sum(e.hits for e in everything)
    found += [f"{cases} cases of packages, not {PACKAGE_CASES}"] if cases < PACKAGE_CASES else []
    found += [f"{hits} hits, not {HITS}"] if hits < HITS else []
    return found


def parts_of(python: Interpreter, asked: argparse.Namespace) -> list[Part]:
    if asked.together:
        return [library_part(*asked.module)]
    if asked.module:
        return [part for part in library_parts(python) if set(part.modules) & set(asked.module)]
    suites = asked.suite or ["library", *(package.name for package in PACKAGES)]
    packages = [name for name in suites if name != "library"]
    parts = library_parts(python) if "library" in suites else []
    for name in packages:
        parts += package_parts(package_named(name), source_of(name))
    return parts


def pythons(asked: argparse.Namespace) -> list[Interpreter]:
    if asked.here:
        return [interpreter(this_version(), Path(sys.executable))]
    found = [(version, corpus_python(version)) for version in asked.python or SUPPORTED]
    for version, path in found:
        if path is None:
            print(f"Python {version}: NOT RUN, no interpreter found (on the path, under pyenv)")
    return [interpreter(version, path) for version, path in found if path is not None]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="corpus", description=__doc__.partition("\n")[0])
    parser.add_argument("--python", action="append", choices=SUPPORTED, help="all that are here")
    parser.add_argument("--suite", action="append", help="library, or a package's name")
    parser.add_argument("--module", action="append", help="of the library's tests: test_json")
    parser.add_argument("--run", help="condition, capture or false; default: as the part has it")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="what is there is not run again"
    )
    parser.add_argument("--here", action="store_true", help="with this very Python alone")
    parser.add_argument("--together", action="store_true", help="the modules in one process")
    return parser.parse_args()


def main() -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt_once)
    asked = arguments()
    is_complete = not (asked.python or asked.suite or asked.module or asked.run)
    found = pythons(asked)
    bad = [p.version for p in found if is_complete and not has_identity(p)]
    everything = examine_all([(p, part) for p in found for part in parts_of(p, asked)], asked)
    show_table(everything)
    problems = [f"{version}: the identity check failed" for version in bad]
    problems += shortcomings(everything, is_complete=is_complete)
    print(
        "\n"
        + "\n".join(
            ["The corpus is NOT clean:", *problems] if problems else ["The corpus is clean."]
        )
    )
    return int(bool(problems))


def examine_all(
    wanted: Sequence[tuple[Interpreter, Part]], asked: argparse.Namespace
) -> list[Examined]:
    """Examine some parts at a time, each shown when it is done. Ends its processes if it is ended."""
    campaign = Campaign(asked.results, threading.Event())
    everything = []
    with ThreadPoolExecutor(asked.processes) as pool:
        running = [pool.submit(examine, campaign, *each, asked.run) for each in wanted]
        try:
            for done in as_completed(running):
                everything.append(done.result())
                say(everything[-1])
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            print("Stopped; what is done is kept.")
        finally:
            campaign.stop.set()
    return everything


def _interrupt_once(number: int, frame: object) -> None:
    # A terminal, or `timeout`, may send it twice; the second must not meet the tidying up.
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def has_identity(python: Interpreter) -> bool:
    run = run_suite(python.version, python.path, IDENTITY)
    print(f"\n== Python {run.version}\n{run.output}", flush=True)
    return run.status == 0


if __name__ == "__main__":
    sys.exit(main())
