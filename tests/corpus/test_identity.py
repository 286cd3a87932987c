"""The rewriter over the standard library and its test suite: every code object, not a few examples.

By default a slice of the files; `make corpus` (`pytest tests/corpus --corpus`) takes them all.
"""

import sysconfig
import types
import warnings
from pathlib import Path

import pytest

from probe_agent.errors import LineNotExecutable, SondeError
from probe_agent.rewrite import Insertion, instrument, variables, verify_identity
from probe_agent.rewrite.flow import flow_of
from probe_agent.rewrite.points import body_start, entries

LIBRARY = Path(sysconfig.get_paths()["stdlib"])
SLICE_FILES = 100  # about 4,000 code objects
SLICE_FILES_INSTRUMENTED = 4
CORPUS_FILES_INSTRUMENTED = 150  # all of them would take half an hour on each Python


def sources(count):
    """List the library's files, or `count` of them, spread evenly."""
    files = sorted(
        p for p in LIBRARY.rglob("*.py") if "site-packages" not in p.parts and p.is_file()
    )
    return files if count is None else files[:: max(1, len(files) // count)]


def code_objects(path):
    """Yield every code object of a file; none if it is no valid source (some are bad on purpose)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pending = [compile(path.read_bytes(), str(path), "exec", dont_inherit=True)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    while pending:
        code = pending.pop()
        yield code
        pending += [c for c in code.co_consts if type(c) is types.CodeType]


def lines_of(code):
    """List the lines at which something can be inserted, and those that reachable units have without it."""
    flow = flow_of(verify_identity(code))
    body = body_start(flow.units)
    lines = {
        unit.line
        for at, unit in enumerate(flow.units)
        if at >= body and flow.depths[at] is not None and unit.line is not None
    }
    without = []
    for line in sorted(lines):
        try:
            entries(flow, line)
        except LineNotExecutable:
            without.append((code.co_filename, code.co_qualname, line))
    return sorted(lines - {line for _, _, line in without}), without


@pytest.fixture
def is_complete(request):
    return request.config.getoption("--corpus", default=False)


@pytest.fixture
def say(capsys):
    def speak(text):
        with capsys.disabled():
            print(f"\n{text}")

    return speak


@pytest.mark.timeout(3600)
def test_every_code_object_is_put_together_byte_for_byte(is_complete, say):
    count, different = 0, []
    for path in sources(None if is_complete else SLICE_FILES):
        for code in code_objects(path):
            count += 1
            try:
                verify_identity(code)
            except SondeError:
                different.append((str(path), code.co_qualname, code.co_firstlineno))
    if is_complete:
        say(f"identity: {count} code objects, {len(different)} differences")
    assert count > 1500
    assert different == []


@pytest.mark.timeout(3600)
def test_every_line_of_every_code_object_takes_an_insertion(is_complete, say):
    """`instrument` proves each result by itself: equal heights on every edge, bytes as meant."""
    count, lines, unreachable, refused = 0, 0, [], []
    for path in sources(CORPUS_FILES_INSTRUMENTED if is_complete else SLICE_FILES_INSTRUMENTED):
        for code in code_objects(path):
            names = variables(code)[:20]
            try:
                wanted, without = lines_of(code)
                unreachable += without
                instrument(code, [Insertion("p", line, max, names, max, names) for line in wanted])
            except SondeError as error:
                refused.append((str(path), code.co_qualname, str(error)))
            count, lines = count + 1, lines + len(wanted)
    if is_complete:
        say(
            f"every line: {count} code objects, {lines} lines, {len(refused)} refused, "
            f"{len(unreachable)} lines only on clean-up units: {unreachable[:9]}"
        )
    assert lines > 300
    assert refused == []
    assert len(unreachable) <= lines // 1000
