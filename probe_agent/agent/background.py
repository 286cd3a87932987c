"""The agent's one thread: an event loop that can be halted and taken up again by another thread.

A fork must not find us half way through anything, nor with a second thread (CPython 3.12+ warns of
that on the application's stderr). So the thread is ended before a fork and a new one takes up the
same loop after it, in the parent only.

The thread is a bare one, started by the function that `_thread` had when we were imported: gevent
and eventlet replace it by one that would run us inside the application's own loop, and
`threading.enumerate()` must not show us (agent-core.md 10).
"""

from __future__ import annotations

import asyncio
import selectors
import time
from _thread import allocate_lock, get_native_id, start_new_thread
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from probe_agent.connect import AgentLoop

# A fork waits this long at the most for the thread to reach a halt; it is idle nearly always.
_HALT_S: Final = 0.1
# Between the last Python of a thread and its end in the kernel: microseconds.
_VANISH_S: Final = 0.005


class Background:
    """Runs coroutines on a thread of its own. Made, halted and taken up by application threads."""

    def __init__(self) -> None:
        # poll, not epoll: its state is ours alone, also in a forked child.
        self.loop = AgentLoop(selectors.PollSelector())
        self.loop.set_debug(False)
        self._ended = allocate_lock()
        self._thread_id = 0
        self._main: asyncio.Task[None] | None = None
        self._last: asyncio.Task[None] | None = None
        # How many want the thread halted: two threads of the application may fork at once.
        self._halts = 0

    def begin(self, main: Coroutine[Any, Any, None]) -> None:
        """Start the thread on a coroutine."""
        self._main = self.loop.create_task(main)
        self._start_thread()

    def halt(self, within_s: float = _HALT_S) -> bool:
        """End the thread between two steps of the loop.

        Returns: False if it did not end in time; it then ends as soon as it can.
        """
        self._halts += 1
        self.call(self.loop.stop)
        if not self._ended.acquire(timeout=within_s):
            return False
        self._ended.release()
        self._await_vanishing()
        return True

    def take_up(self) -> None:
        """Run the loop again, once nobody wants it halted any more."""
        self._halts -= 1
        # Not ended in time: that thread sees that nobody wants it to end, and goes on.
        if self._halts == 0 and self._ended.acquire(timeout=_HALT_S):
            self._ended.release()
            self._start_thread()

    def end(self, farewell: Callable[[], Coroutine[Any, Any, None]], within_s: float) -> None:
        """Run a last coroutine, cancel the main one, which awaits whatever it has begun, end the
        thread and close the loop.
        """
        self._halts += 1
        self.call(self._begin_end, farewell)
        if self._ended.acquire(timeout=within_s):
            self._ended.release()
            self._await_vanishing()
            self.loop.close()

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Have the loop call a function soon; from any thread, also when the loop is gone."""
        try:
            self.loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            return

    def _begin_end(self, farewell: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._last = self.loop.create_task(self._end(farewell))

    async def _end(self, farewell: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await farewell()
        finally:
            # Not asyncio.all_tasks(): 3.14 knows only those that this very thread has made.
            if self._main is not None:
                self._main.cancel()
                await asyncio.gather(self._main, return_exceptions=True)
            await asyncio.sleep(0)  # transports close in a step of their own
            self.loop.stop()

    def _start_thread(self) -> None:
        self._ended.acquire()
        start_new_thread(self._run, ())

    def _run(self) -> None:
        self._thread_id = get_native_id()
        try:
            self.loop.run_forever()
            while not self._halts:
                self.loop.run_forever()
        finally:
            self._ended.release()

    def _await_vanishing(self) -> None:
        # Linux only; elsewhere CPython counts Python's own threads, which do not include ours.
        mark = Path(f"/proc/self/task/{self._thread_id}")
        until = time.monotonic() + _VANISH_S
        while mark.exists() and time.monotonic() < until:
            time.sleep(0)
