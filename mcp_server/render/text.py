"""The text form of each tool's answer: first the answer, then reach and counts, then what next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mcp_server.render.answers import (
    Code,
    ListedInstance,
    ListedProbe,
    ListedService,
    Match,
    Placed,
    Probe,
    ProbeList,
    Removal,
    Results,
    Services,
)
from mcp_server.render.escape import numbered_line, quoted, word
from mcp_server.render.next_step import NextCall
from mcp_server.render.probe_text import (
    at,
    code_of,
    cost_line,
    counts_line,
    headline,
    hit_lines,
    left_out_line,
    number,
    probe_lines,
    silence_lines,
    summary_lines,
)
from mcp_server.render.structure import rfc3339


def services_text(answer: Services) -> str:
    """Write the answer of `list_services`."""
    lines = [line for service in answer.services for line in _service_lines(service)]
    if answer.how_to_connect:
        lines.append(answer.how_to_connect)
    return _joined(lines, answer.more, answer.left_out, answer.next_call)


def code_text(answer: Code, *, of_function: bool) -> str:
    """Write the answer of `find_code`. Args: of_function: a function's whole text was asked for."""
    lines = [
        line
        for match in answer.matches
        for line in _match_lines(match, is_whole=of_function and bool(match.after))
    ]
    # The files' sums come last, each once: an outline has many matches of one file.
    sums = {match.file: match.source_sha256 for match in answer.matches if match.source_sha256}
    lines += [f"Source SHA-256 of {word(file)}: {word(digest)}" for file, digest in sums.items()]
    return _joined(lines or ["Nothing was found."], answer.more, answer.left_out, answer.next_call)


def placed_text(answer: Placed, waited_s: float) -> str:
    """Write the answer of a placing tool."""
    lines = [
        headline(answer, waited_s),
        *code_of(answer.location),
        *silence_lines(answer.silence),
        *summary_lines(answer.summary),
        *hit_lines(answer.results),
        *probe_lines(answer),
        *_cursor_line(answer.next_cursor),
    ]
    return _joined(lines, answer.more, answer.left_out, answer.next_call)


def results_text(answer: Results) -> str:
    """Write the answer of `read_results`."""
    lines = [] if answer.results else ["No new result."]
    lines += [*hit_lines(answer.results)]
    for probe in answer.probes:
        lines += _probe_block(probe)
    lines += _cursor_line(answer.next_cursor)
    return _joined(lines, answer.more, answer.left_out, answer.next_call)


def probe_list_text(answer: ProbeList) -> str:
    """Write the answer of `list_probes`."""
    lines = [line for row in answer.probes for line in _row_lines(row)]
    lines = lines or ["No probe was found."]
    lines += _cursor_line(answer.next_cursor)
    return _joined(lines, answer.more, answer.left_out, answer.next_call)


def removal_text(answer: Removal) -> str:
    """Write the answer of `remove_probes`."""
    said = {
        "Removed, the originals are back": answer.removed,
        "Removing, not confirmed yet by every instance": answer.removing,
        "Already gone": answer.already_gone,
        "Left in place, another session placed them": answer.not_yours,
    }
    lines = [f"{what}: {', '.join(ids)}" for what, ids in said.items() if ids]
    return _joined(lines or ["There was nothing to remove."], 0, {}, answer.next_call)


def _service_lines(service: ListedService) -> Iterator[str]:
    versions = f", version {', '.join(service.versions)}" if service.versions else ""
    python = f", Python {', '.join(service.python)}" if service.python else ""
    yield (
        f"{service.service} ({service.environment}{versions},"
        f" {number(service.instances, 'instance')}{python}),"
        f" {number(service.probes, 'probe')}; allowed: {', '.join(service.allowed)}"
    )
    yield from (f"  {_instance_line(instance)}" for instance in service.instance_list)


def _instance_line(instance: ListedInstance) -> str:
    labels = "".join(f", {key}={value}" for key, value in instance.labels.items())
    version = f" version {instance.version}," if instance.version else ""
    return (
        f"{instance.instance}:{version} Python {instance.python}, pid {instance.pid}"
        f" on {instance.host}, since {rfc3339(instance.since)}{labels}"
    )


def _match_lines(match: Match, *, is_whole: bool) -> Iterator[str]:
    function = f" in {word(match.function)}" if match.function else ""
    can = "a probe can be placed here" if match.executable else "no probe on this line"
    yield f"{word(match.file)}:{match.line}{function} ({can})"
    yield from _source_lines(match, is_whole=is_whole)
    if match.names:
        yield f"Names: {', '.join(word(name) for name in match.names)}"


def _source_lines(match: Match, *, is_whole: bool) -> Iterator[str]:
    """Write the lines with their numbers. Args: is_whole: `after` begins with the line itself."""
    asked = () if is_whole or not match.code else (match.code,)
    lines = (*match.before, *asked, *match.after)
    first = match.line - len(match.before)
    width = len(str(first + len(lines)))
    for at_line, line in enumerate(lines, first):
        yield numbered_line(at_line, line, width, is_asked=at_line == match.line)


def _probe_block(probe: Probe) -> Iterator[str]:
    yield f"Probe {probe.probe_id}: {probe.state} at {at(probe.location)}"
    yield from code_of(probe.location)
    yield from silence_lines(probe.silence)
    yield from summary_lines(probe.summary)
    yield from probe_lines(probe)


def _row_lines(row: ListedProbe) -> Iterator[str]:
    where = f" at {at(row.location)}" if row.location else ""
    owner = f", by {row.owner}" if row.owner else ""
    yield f"{row.probe_id}: {row.state} {row.kind}{where}, {row.age_seconds:g} s old{owner}"
    if row.location:
        yield from code_of(row.location)
    if row.reason:
        yield f"  Reason: {quoted(row.reason)}"
    if row.counts:
        yield f"  {counts_line(row.counts)}"
    if row.overhead:
        yield f"  {cost_line(row.overhead)}"
    if row.expires_at:
        yield f"  Expires: {rfc3339(row.expires_at)}"


def _cursor_line(cursor: str) -> list[str]:
    return [f"Cursor: {cursor}"] if cursor else []


def _joined(
    lines: Iterable[str], more: int, left_out: dict[str, int], call: NextCall | None
) -> str:
    last = [f"Next: {call}"] if call is not None else []
    return "\n".join([*lines, *left_out_line(more, left_out), *last])
