"""How many messages a consumer asks for: about what its application does in a second."""

from __future__ import annotations

import pytest

from tickwire_client.pace import FIRST, Pace


def work_off(pace: Pace, messages: int, seconds: float, times: int = 1) -> list[int]:
    """The sizes after the application got so many and came back, again and again."""
    now, sizes = 100.0, []
    for _ in range(times):
        pace.gave(messages, now)
        now += seconds
        pace.asked(now, 1.0)
        sizes.append(pace.size)
    return sizes


def test_it_begins_small_and_never_asks_for_more_than_it_may() -> None:
    assert (Pace(1_000).size, Pace(3).size) == (FIRST, FIRST)
    assert work_off(Pace(3), 3, 0.0, times=4) == [2, 3, 3, 3]
    assert work_off(Pace(10), 100, 0.001, times=5) == [2, 4, 8, 10, 10]


@pytest.mark.parametrize(("each", "size"), [(0.01, 64), (0.05, 16), (0.25, 4), (2.0, 1), (30.0, 1)])
def test_it_comes_to_what_the_application_does_in_a_second(each: float, size: int) -> None:
    assert work_off(Pace(1_000), 1, each, times=1_000)[-1] == size


def test_an_application_that_becomes_slow_is_noticed_by_the_second_message() -> None:
    pace = Pace(1_000)
    work_off(pace, 256, 0.001, times=20)
    assert pace.size == 1_000

    assert work_off(pace, 1, 10.0, times=2) == [25, 1]  # of the 256 that were done in no time, it remembers some


def test_time_in_which_nothing_was_here_is_not_the_applications() -> None:
    pace = Pace(1_000)

    for hour in range(20):
        pace.asked(hour * 3_600.0, 1.0)
        pace.gave(pace.size, hour * 3_600.0 + 3_599.0)
        pace.asked(hour * 3_600.0 + 3_599.001, 1.0)

    assert pace.size >= 128


def test_it_is_doubled_where_the_application_has_all_of_it() -> None:
    pace = Pace(3)

    assert [(pace.starved(), pace.size) for _ in range(3)] == [(True, 2), (True, 3), (False, 3)]
