"""The call that is most useful now, ready to be made as it stands."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mcp_server.model import ProbeView, RemoveAnswer, StoredResult
from mcp_server.render.escape import escape
from probe_agent.probe import SourceMatch

# How long to wait for what has not come yet: well within every client's own limit.
_WAIT_SECONDS: Final = 20
_WHY_SNAPSHOT: Final = "What are the values when this line runs?"
_MOST_IDS: Final = 20
_LONGEST_BUDGET: Final = 20_000
_DEF: Final = re.compile(r"(async )?def ")
# A frame of a file: not of `<string>`, and of no name with spaces, which prose could hide in.
_FRAME: Final = re.compile(r"(?P<file>[^\s<>]+\.py):(?P<line>\d+) ")


@dataclass(frozen=True, slots=True)
class NextCall:
    """A tool and its arguments."""

    tool: str
    arguments: dict[str, object]

    def __str__(self) -> str:
        return f"{self.tool} {escape(json.dumps(self.arguments, ensure_ascii=False))}"


def after_services(names: list[tuple[str, str]], *, was_named: bool) -> NextCall:
    """Args: names: service and environment of each that was listed."""
    if not names:
        return NextCall("list_services", {})
    service, environment = names[0]
    if was_named:
        return NextCall("list_probes", {"service": service, "all": True})
    return NextCall("list_services", {"service": service, "environment": environment})


def after_code(given: Mapping[str, object], matches: tuple[SourceMatch, ...]) -> NextCall:
    """Place a snapshot where a probe can be; else look closer. Args: given: target and question."""
    target = {k: v for k, v in given.items() if k in ("service", "environment", "version")}
    if not matches:
        return NextCall("list_services", {"service": target["service"]})
    first = matches[0]
    if "function" in given:
        return _into_function(target, first)
    if "line" not in given:
        function = next((m for m in matches if _DEF.match(m.code)), first)
        return _look_at(target, function.file, function.line)
    if first.executable and _can_be_named(first.file):
        # No expect_code: the application's text has no place in a call of ours.
        where = {"file": first.file, "line": first.line, "reason": _WHY_SNAPSHOT}
        return NextCall("place_snapshot", {**target, **where})
    below = next((number for number, line in enumerate(first.after, 1) if line.strip()), None)
    if below is None and _can_be_named(first.file):
        return NextCall("find_code", {**target, "file": first.file})  # the file ends here
    return _look_at(target, first.file, first.line + (below or 0))


def _into_function(target: dict[str, object], match: SourceMatch) -> NextCall:
    """Look at the last line of a function: in most it is a statement of its own."""
    written = [number for number, line in enumerate(match.after) if line.strip()]
    return _look_at(target, match.file, match.line + (written[-1] if written else 0))


def _look_at(target: Mapping[str, object], file: str, line: int) -> NextCall:
    if not _can_be_named(file):
        return NextCall("list_services", {"service": target["service"]})
    return NextCall("find_code", {**target, "file": file, "line": line})


def _can_be_named(file: str) -> bool:
    """True if the file's name is the same after escaping: else the agent would not know it."""
    return escape(file) == file


def after_probe(view: ProbeView, results: Sequence[StoredResult], cursor: str) -> NextCall:
    """Wait on while it may be hit; once it is over, look at who called. Args: results: its own.

    Where waiting alone brings nothing, say instead what to correct it by: the instances there are,
    the names at the line.
    """
    target: dict[str, object] = {"service": view.service, "environment": view.environment}
    silence = "" if view.silence is None else view.silence.code
    if silence == "no_instance":
        return NextCall("list_services", target)
    if silence == "condition_error" and view.location is not None:
        return _look_at(target, view.location.file, view.location.line)
    if view.probe_id is not None and not view.state.is_final:
        return wait_on({"probe_ids": [view.probe_id]}, cursor)
    stack = results[0].result.stack if results else ()
    frame = _FRAME.match(stack[1]) if len(stack) > 1 else None
    if frame is not None:
        return _look_at(target, frame["file"], int(frame["line"]))
    if view.location is not None:
        return _look_at(target, view.location.file, view.location.line)
    return NextCall("list_services", target)


def after_results(
    given: Mapping[str, object],
    views: Sequence[ProbeView],
    results: Sequence[StoredResult],
    cursor: str,
) -> NextCall:
    """All there is has been read: wait for more while more can come."""
    if not views:
        return NextCall("list_probes", {"all": True})
    if len(views) > 1 and any(not view.state.is_final for view in views):
        return wait_on(given, cursor)
    first = results[0].result.probe_id if results else views[0].probe_id
    view = next((view for view in views if view.probe_id == first), views[0])
    call = after_probe(view, results, cursor)
    return wait_on(given, cursor) if call.tool == "read_results" else call


def after_list(given: Mapping[str, object], views: Sequence[ProbeView]) -> NextCall:
    """Read what the newest probe brought; where this session has none, look at the others'."""
    if not views and not given.get("all"):
        everyone = {key: value for key, value in given.items() if key != "cursor"}
        return NextCall("list_probes", {**everyone, "all": True})
    if not views:
        return NextCall("list_services", {})
    return NextCall("read_results", {"probe_ids": [views[0].probe_id]})


def after_removal(answer: RemoveAnswer) -> NextCall:
    """Make sure of what is not confirmed; else read what was brought, which stays."""
    if answer.removing:
        return NextCall("remove_probes", {"probe_ids": list(answer.removing)})
    ids = answer.removed or answer.already_gone
    if ids:
        return NextCall("read_results", {"probe_ids": list(ids[:_MOST_IDS])})
    return NextCall("list_probes", {"all": True})


def wait_on(given: Mapping[str, object], cursor: str) -> NextCall:
    """Wait for results after the cursor."""
    return read_on({**given, "wait_seconds": _WAIT_SECONDS}, cursor)


def read_on(given: Mapping[str, object], cursor: str) -> NextCall:
    """Make the same call for what comes after the cursor."""
    arguments = {**given, "cursor": cursor}
    return NextCall("read_results", {k: v for k, v in arguments.items() if v != ""})


def more_tokens(tool: str, given: Mapping[str, object], tokens: int) -> NextCall | None:
    """Make the same call with five times the room, or None if it had all there is."""
    if tokens >= _LONGEST_BUDGET:
        return None
    return NextCall(tool, {**given, "token_budget": min(_LONGEST_BUDGET, tokens * 5)})
