from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from probe_agent.limits import HitRate

SECOND_NS = 1_000_000_000


def test_a_window_takes_as_many_hits_as_it_may_and_no_more():
    rate = HitRate(3)
    assert [rate.take(SECOND_NS + n) for n in range(5)] == [True, True, True, False, False]


def test_the_next_second_begins_anew():
    rate = HitRate(1)
    assert rate.take(SECOND_NS)
    assert not rate.take(2 * SECOND_NS - 1)
    assert rate.take(2 * SECOND_NS)


@given(st.integers(1, 20), st.lists(st.integers(0, SECOND_NS // 4), max_size=200))
def test_no_second_ever_takes_more_than_twice_the_rate(most, gaps):
    rate, now, taken = HitRate(most), SECOND_NS, []
    for gap in gaps:
        now += gap
        if rate.take(now):
            taken.append(now)
    for start in taken:
        assert sum(start <= t < start + SECOND_NS for t in taken) <= 2 * most
