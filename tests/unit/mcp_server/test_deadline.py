from __future__ import annotations

import pytest

from mcp_server.deadline import Deadline


@pytest.mark.parametrize(
    ("seconds", "within_s", "most_s"),
    [
        pytest.param(5.0, 60.0, 5.0, id="its own end comes first"),
        pytest.param(60.0, 5.0, 5.0, id="the other's end comes first"),
        pytest.param(60.0, 0.0, 0.0, id="the other has passed"),
        pytest.param(-1.0, 60.0, 0.0, id="it had no time at all"),
    ],
)
def test_a_deadline_never_ends_after_the_one_it_is_within(
    seconds: float, within_s: float, most_s: float
) -> None:
    deadline = Deadline(seconds, Deadline(within_s))
    assert max(0.0, most_s - 1) <= deadline.left_s <= most_s
    assert deadline.has_passed is (most_s == 0)
    assert deadline.waited_s >= 0
