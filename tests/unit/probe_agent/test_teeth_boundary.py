"""Whose exception it is, whose secret, and whose turn: the edges of what a hit does."""

import sys
from _queue import SimpleQueue

import pytest

from probe_agent.capture import CaptureLimits
from probe_agent.errors import ExpressionRefused
from probe_agent.hit import Entry, LiveProbe
from probe_agent.hit.boundary import is_ours
from probe_agent.probe import Kind, Probe, Where


class Deadline(ValueError):
    """What an application's signal handler may raise."""


def reference(amount, limit):
    return amount > limit


def live_probe(**options):
    options = {"max_hits": 5, "max_hits_per_second": 1000} | options
    probe = Probe("p-aaaaaa", Kind.SNAPSHOT, Where("x.py", 1), **options)
    return LiveProbe(probe, SimpleQueue(), CaptureLimits())


def entry_of(live):
    return Entry(live, reference.__code__, ("amount", "limit"))


def raising(error, *, is_our_code):
    """Make a function that raises, in a file of ours or here."""

    def raises(*arguments):
        raise error

    if is_our_code:
        file = LiveProbe.__init__.__code__.co_filename
        raises.__code__ = raises.__code__.replace(co_filename=file)
    return raises


def raised(error, *, is_our_code):
    try:
        raising(error, is_our_code=is_our_code)()
    except type(error) as caught:
        return caught
    return None


def test_an_error_is_ours_if_it_is_raised_in_our_code():
    assert is_ours(raised(ValueError(), is_our_code=True))
    assert not is_ours(raised(ValueError(), is_our_code=False))


def test_a_subclass_of_an_error_of_ours_is_the_applications():
    """It may be raised in our frame: PyThreadState_SetAsyncExc does."""
    assert not is_ours(raised(Deadline(), is_our_code=True))


@pytest.mark.parametrize("error", [ValueError(), Deadline(), KeyboardInterrupt()])
def test_an_exception_that_a_signal_handler_raises_in_a_hit_comes_out(error):
    live = live_probe()
    live.capture = raising(error, is_our_code=False)
    with pytest.raises(type(error)):
        entry_of(live).hit(1, 2)
    assert live.counts().dropped_capture_failed == 1


def test_an_exception_that_a_signal_handler_raises_in_a_guard_comes_out():
    live = live_probe(condition="amount > limit")
    assert not live.failed(raised(ValueError(), is_our_code=False), (1, 2))
    assert live.failed(raised(ValueError(), is_our_code=True), (1, 2))
    assert live.counts().condition_errors == 1


def test_an_exception_that_a_signal_handler_raises_while_a_running_frame_is_read_comes_out():
    live = live_probe(condition="amount > limit")
    entry = entry_of(live)
    with pytest.raises(ValueError, match="theirs"):
        entry.run(sys._getframe(), raising(ValueError("theirs"), is_our_code=False))
    entry.run(sys._getframe(), raising(ValueError("ours"), is_our_code=True))
    assert live.counts().dropped_capture_failed == 1


class TakesOneMore:
    """A rate, while whose asking another thread takes a hit."""

    def __init__(self, live):
        self.live = live
        self.asked = 0

    def take(self, now_ns):
        self.asked += 1
        self.live.captured += 1
        return True


def test_a_hit_that_another_thread_takes_meanwhile_counts():
    live = live_probe(max_hits=1)
    live.rate = TakesOneMore(live)
    entry_of(live).hit(1, 2)
    assert (live.intake.qsize(), live.counts().dropped_hit_limit) == (0, 1)


def test_hits_beyond_the_limit_do_not_use_up_the_rate():
    live = live_probe(max_hits=1)
    entry = entry_of(live)
    entry.hit(1, 2)
    live.rate = TakesOneMore(live)
    entry.hit(1, 2)
    assert (live.rate.asked, live.counts().dropped_hit_limit) == (0, 1)


@pytest.mark.parametrize("condition", ["token == count", "user.password == 'x'"])
def test_one_secret_word_anywhere_makes_a_condition_refused(condition):
    with pytest.raises(ExpressionRefused):
        live_probe(condition=condition)


def test_words_that_are_secret_only_together_make_a_condition_refused():
    with pytest.raises(ExpressionRefused):
        live_probe(condition="api.key == 'x'")
