"""The probes that this process holds: from what the hub desires to what is so.

Used on the background thread only, but for `transform`, which the import watch calls on an
application's thread and which touches nothing but an immutable snapshot and a queue.
"""

from __future__ import annotations

import logging
from _queue import SimpleQueue
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import perf_counter_ns
from types import CodeType
from typing import Final

from probe_agent.capture import CaptureLimits
from probe_agent.connect import to_problem
from probe_agent.deliver import Delivery, Outbox, redact_reading, to_value
from probe_agent.errors import SondeError
from probe_agent.hit import Entry, Intake, LiveProbe
from probe_agent.probe import Location, Probe, Problem, State, Status, Value, Where
from probe_agent.rewrite import Insertion, Rewriter, TreeRecord, rebuild_tree, variables
from probe_agent.source.files import ends_in, parts_of
from probe_agent.source.imports import ImportWatch
from probe_agent.source.places import locate_in
from probe_agent.source.program import Program
from probe_agent.source.text import NO_TEXT, TEXT_CHANGED, read_text

_log = logging.getLogger("sonde")
# Hits that were under way when the originals came back reach the outbox within this time.
_SETTLE_S: Final = 1.0
# A pending probe is looked for again this often: code that no import watch sees (`__main__`).
_RETRY_S: Final = 0.5


@dataclass(slots=True)
class _Held:
    """One probe and what became of it. `ending`: the final state that it is on its way to."""

    probe: Probe
    expires_s: float = 0.0
    state: State = State.PENDING
    live: LiveProbe | None = None
    problem: Problem | None = None
    location: Location | None = None
    frames_missed: int = 0
    ever_armed: bool = False
    ending: State | None = None
    ending_since_s: float = 0.0
    tried_s: float = 0.0
    said: Status | None = None
    to_forget: bool = False

    @property
    def is_waiting(self) -> bool:
        """True while it is wanted and its code is not loaded."""
        return self.state is State.PENDING and self.ending is None

    @property
    def is_watching(self) -> bool:
        """True while a module that is loaded, or loaded again, must get it too."""
        return self.state in (State.PENDING, State.ARMED) and self.ending is None

    @property
    def where(self) -> Where:
        """Where it goes in a module that is loaded now: if it is armed, where the line's text is
        that it stands on; the line may have moved since.
        """
        asked, found = self.probe.where, self.location
        if self.state is not State.ARMED or found is None or found.code in (NO_TEXT, TEXT_CHANGED):
            return asked
        return Where(asked.file, found.line, found.code)

    def revive(self) -> None:
        """Begin again: the hub wants it after all."""
        if self.live is not None:
            self.live.revive()
        self.state, self.ending, self.said, self.to_forget = State.PENDING, None, None, False


@dataclass(frozen=True, slots=True)
class _Adoption:
    """A module's code that carried probes when it was executed for the first time."""

    record: TreeRecord
    found: tuple[tuple[str, Location], ...] = field(default=())


class Holding:
    """Holds the desired probes in place, and puts the originals back when they go."""

    def __init__(self, intake: Intake, outbox: Outbox, stir: Callable[[], None]) -> None:
        """`stir` asks, from any thread, that `tend` be called soon."""
        self._intake = intake
        self._stir = stir
        self._delivery = Delivery(intake, outbox)
        self._held: dict[str, _Held] = {}
        self._unknown: list[str] = []
        self._program = Program(self._original)
        self._rewriter = Rewriter(self._program.functions_using)
        self._watch = ImportWatch(self._wants, self._transform, self._loaded, _fault)
        self._is_watching = False
        # When code that is no longer in force was last looked for: functions that have it, frames
        # that run it and are served by events. None: none is left.
        self._swept_s: float | None = None
        self._watched: tuple[tuple[LiveProbe, Where], ...] = ()
        self._adoptions: SimpleQueue[_Adoption | str] = SimpleQueue()

    @property
    def program(self) -> Program:
        """The running program's source."""
        return self._program

    @property
    def is_busy(self) -> bool:
        """True while a hit may come at any moment or something is on its way out."""
        return any(not h.state.is_final for h in self._held.values())

    def desire(self, probes: Iterable[Probe], now_s: float) -> None:
        """Hold exactly these probes."""
        wanted = {p.probe_id: p for p in probes}
        self.remove([i for i in self._held if i not in wanted], now_s)
        self.place(wanted.values(), now_s)

    def place(self, probes: Iterable[Probe], now_s: float) -> None:
        """Hold these probes too. One that is held already is left as it is; one that went with its
        lease comes back with its sums.
        """
        for probe in probes:
            held = self._held.get(probe.probe_id)
            if held is None:
                held = self._held[probe.probe_id] = _Held(probe)
                self._prepare(held)
            elif not held.to_forget:
                continue
            elif held.problem is None:
                held.revive()
            held.expires_s = now_s + probe.ttl_ms / 1000
            self._try(held, now_s)
        self._watch_imports()

    def remove(self, probe_ids: Iterable[str], now_s: float) -> None:
        """Put the originals back. The final status is reported once more, then forgotten."""
        for probe_id in probe_ids:
            held = self._held.get(probe_id)
            if held is None:
                self._unknown.append(probe_id)
                continue
            held.to_forget = True
            held.said = None
            self._end(held, State.REMOVED, now_s)
        self._watch_imports()

    def restore_all(self) -> None:
        """Put every original back at once: the agent stops, or this is a forked child."""
        self._watch.remove()
        self._watched = ()
        self._rewriter.restore_all()

    def tend(self, now_s: float) -> None:
        """Do what time and the application's threads have made due. Called every few ms."""
        self._delivery.take_some()
        self._adopt(now_s)
        self._sweep(now_s)
        for held in list(self._held.values()):
            if held.live is not None:
                held.live.refresh(perf_counter_ns())
            if held.ending is not None:
                self._finish(held, now_s)
            elif held.state.is_final:
                continue
            elif now_s >= held.expires_s:
                self._end(held, State.EXPIRED, now_s)
            elif held.live is not None and held.live.is_exhausted:
                self._end(held, State.DONE, now_s)
            elif held.state is State.PENDING and now_s - held.tried_s >= _RETRY_S:
                self._try(held, now_s)
        self._watch_imports()

    @property
    def has_news(self) -> bool:
        """True if a probe came to an end that the hub does not know yet."""
        return bool(self._unknown) or any(
            h.state.is_final and h.said is None for h in self._held.values()
        )

    def statuses(self) -> tuple[Status, ...]:
        """Take the statuses that are not as last said; what is final and unwanted is forgotten."""
        found = []
        for probe_id, held in list(self._held.items()):
            status = self._status(held)
            if status != held.said:
                found.append(status)
                held.said = status
            if held.to_forget and held.state.is_final:
                del self._held[probe_id]
        found += [Status(i, State.REMOVED) for i in self._unknown]
        self._unknown.clear()
        return tuple(found)

    def unsay(self) -> None:
        """Forget what was said: a new stream must hear everything."""
        for held in self._held.values():
            held.said = None

    def _sweep(self, now_s: float) -> None:
        """Look for closures that a frame of before has made since its probe was removed, and give
        up old code that no frame runs any more.
        """
        if self._swept_s is not None and now_s - self._swept_s >= _RETRY_S:
            self._swept_s = now_s if self._rewriter.sweep() else None

    # -- placing -------------------------------------------------------------------------------

    def _prepare(self, held: _Held) -> None:
        try:
            held.live = LiveProbe(held.probe, self._intake, CaptureLimits())
        except SondeError as error:
            self._refuse(held, State.REFUSED, error)

    def _try(self, held: _Held, now_s: float) -> None:
        """Place a probe if its code is loaded; else it stays pending."""
        live = held.live
        if held.state is not State.PENDING or live is None:
            return
        held.tried_s = now_s
        try:
            location = self._program.locate(held.probe.where)
            held.location = location
            if location.loaded:
                self._arm(held, live, location)
        except SondeError as error:
            self._refuse(held, State.REFUSED, error)
        except Exception as error:  # noqa: BLE001  the boundary: counted as a failed probe, and said
            _log.exception("cannot place probe %s", held.probe.probe_id)
            self._refuse(held, State.FAILED, error)

    def _arm(self, held: _Held, live: LiveProbe, location: Location) -> None:
        self._rewriter.sweep()  # what is left of probes before would look like users of the code
        chains = self._program.chains(location)
        for chain in chains:
            if self._rewriter.carries(held.probe.probe_id, chain[-1]):
                continue
            insertion = _insertion(live, chain[-1], location.line)
            held.frames_missed += self._rewriter.place(chain, insertion).frames_missed
        if self._rewriter.is_serving:
            self._swept_s = held.tried_s
        if chains:
            self._armed(held, location)

    def _armed(self, held: _Held, location: Location) -> None:
        held.location = location
        held.state = State.ARMED
        if held.live is not None and not held.ever_armed:
            held.live.armed_ns = perf_counter_ns()
        held.ever_armed = True

    def _refuse(self, held: _Held, state: State, error: Exception) -> None:
        self._rewriter.remove(held.probe.probe_id)
        held.state = state
        held.problem = to_problem(error)
        held.said = None

    # -- modules that are imported later -------------------------------------------------------

    def _watch_imports(self) -> None:
        """Watch imports exactly while a probe is pending or armed: a module may be loaded again."""
        self._watched = tuple(
            (h.live, h.where) for h in self._held.values() if h.is_watching and h.live is not None
        )
        if bool(self._watched) is not self._is_watching:
            self._is_watching = not self._is_watching
            (self._watch.install if self._is_watching else self._watch.remove)()

    def _wants(self, file: str) -> bool:
        return any(_is_in(live, file) for live, _ in self._watched)

    def _transform(self, file: str, code: CodeType) -> CodeType:
        """Put the probes of a file into its code before that is executed."""
        wanted, found = [], []
        text = read_text(file)
        for live, where in self._watched:
            if not _is_in(live, file):
                continue
            try:
                location, chains = locate_in(code, text, where)
            except SondeError:
                continue  # said by `_try` once the module is loaded
            wanted += [(chain, _insertion(live, chain[-1], location.line)) for chain in chains]
            found.append((live.probe.probe_id, location))
        if not wanted:
            return code
        new_code, record = rebuild_tree(code, wanted)
        self._adoptions.put(_Adoption(record, tuple(found)))
        self._stir()
        return new_code

    def _loaded(self, module: str) -> None:
        self._adoptions.put(module)
        self._stir()

    def _adopt(self, now_s: float) -> None:
        while not self._adoptions.empty():
            news = self._adoptions.get_nowait()
            if isinstance(news, str):
                for held in list(self._held.values()):
                    self._try(held, now_s)
                    self._arm_again(held)
                continue
            self._rewriter.adopt(news.record)
            for probe_id, location in news.found:
                adopted = self._held.get(probe_id)
                if adopted is not None and adopted.is_watching:
                    self._armed(adopted, location)
                else:
                    self._rewriter.remove(probe_id)

    def _arm_again(self, held: _Held) -> None:
        """Reach the functions of a module that was loaded again by a loader that showed no code."""
        if held.state is not State.ARMED or held.ending is not None or held.live is None:
            return
        try:
            location = self._program.locate(held.where)
            if location.loaded:
                self._arm(held, held.live, location)
        except SondeError:
            pass  # what is armed stays so; the new text has no such line
        except Exception:  # noqa: BLE001  the boundary: what is armed stays so
            _log.exception("cannot place probe %s again", held.probe.probe_id)

    def _original(self, code: CodeType) -> CodeType:
        return self._rewriter.original(code)

    # -- going ---------------------------------------------------------------------------------

    def _end(self, held: _Held, state: State, now_s: float) -> None:
        if held.state.is_final or held.ending is not None:
            return
        self._rewriter.remove(held.probe.probe_id)
        if held.live is not None:
            held.live.end()
        self._swept_s = now_s
        held.ending = state
        held.ending_since_s = now_s
        self._finish(held, now_s)

    def _finish(self, held: _Held, now_s: float) -> None:
        """Make the end known once the last hit under way has been delivered."""
        settled = held.live is None or held.live.is_delivered
        if held.ending is not None and (settled or now_s - held.ending_since_s > _SETTLE_S):
            held.state = held.ending
            held.ending = None
            held.said = None

    # -- saying --------------------------------------------------------------------------------

    def _status(self, held: _Held) -> Status:
        live = held.live
        if live is None:
            return Status(held.probe.probe_id, held.state, problem=held.problem)
        counts = live.counts()
        cost_ns = live.cost_ns()
        alive_ns = max(perf_counter_ns() - live.armed_ns, 1)
        return Status(
            probe_id=held.probe.probe_id,
            state=held.state,
            counts=counts,
            problem=held.problem,
            ever_armed=held.ever_armed,
            frames_missed=held.frames_missed,
            location=held.location,
            samples=tuple(_sample(live, sample) for sample in live.samples),
            condition_error=live.condition_error,
            ns_per_hit=round(cost_ns / counts.line_hits, 1) if counts.line_hits else 0.0,
            core_share=round(cost_ns / alive_ns, 6) if held.ever_armed else 0.0,
        )


def _is_in(live: LiveProbe, file: str) -> bool:
    return ends_in(file, parts_of(live.probe.where.file))


def _fault(error: Exception) -> None:
    _log.error("watching an import failed", exc_info=error)


def _insertion(live: LiveProbe, code: CodeType, line: int) -> Insertion:
    entry = Entry(live, code, variables(code), line)
    return Insertion(
        probe_id=live.probe.probe_id,
        line=line,
        guard=entry.guard,
        guard_names=entry.guard_names,
        hit=entry.hit,
        hit_names=entry.hit_names,
        quick=entry.quick,
        run=entry.run,
    )


def _sample(live: LiveProbe, sample: tuple[object, ...]) -> tuple[Value, ...]:
    return tuple(
        to_value(part.name, redact_reading(live, part, plain))  # type: ignore[arg-type]
        for part, plain in zip(live.parts, sample, strict=True)
    )
