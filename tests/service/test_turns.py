"""Fair shares, as laws."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service.turns import HEAD_START_S, Turns

COSTS = st.lists(st.floats(0.001, 0.2), min_size=2, max_size=6)


def serve(turns: Turns, ready: list[int], cost_s: list[float], given_s: list[float]) -> None:
    who = turns.next(ready, tie=lambda each: each)
    given_s[who] += cost_s[who]
    turns.served(who, cost_s[who])


@given(cost_s=COSTS)
def test_all_get_the_same_time_whatever_a_turn_of_theirs_costs(cost_s: list[float]) -> None:
    turns, everybody = Turns(), list(range(len(cost_s)))
    given_s = [0.0] * len(cost_s)
    turns.seat(everybody)
    for _ in range(200):
        serve(turns, everybody, cost_s, given_s)
    assert max(given_s) - min(given_s) <= 2 * max(cost_s)


@given(cost_s=COSTS, begun=st.integers(1, 100))
def test_a_newcomer_waits_for_about_a_turn_of_each_other(cost_s: list[float], begun: int) -> None:
    turns, everybody = Turns(), list(range(len(cost_s)))
    given_s = [0.0] * len(cost_s)
    turns.seat(everybody[1:])
    for _ in range(begun):
        serve(turns, everybody[1:], cost_s, given_s)
    turns.seat(everybody)
    before_s = list(given_s)
    while not given_s[0]:
        serve(turns, everybody, cost_s, given_s)
    waited_s = [now - before for now, before in zip(given_s[1:], before_s[1:], strict=True)]
    assert max(waited_s) <= 2 * max(cost_s)


@given(cost_s=st.floats(0.01, 0.2))
def test_newcomers_hold_nobody_back_by_more_than_their_head_start(cost_s: float) -> None:
    turns = Turns()
    long_s = total_s = 0.0
    for newcomer in range(500):
        turns.seat(["long", newcomer])
        who = None
        while who != newcomer:
            who = turns.next(["long", newcomer], tie=str)
            turns.served(who, cost_s)
            total_s += cost_s
            long_s += cost_s * (who == "long")
    assert long_s >= total_s / 2 - HEAD_START_S - 2 * cost_s


def test_who_could_not_take_turns_has_not_saved_them_up() -> None:
    turns, given_s = Turns(), [0.0, 0.0]
    turns.seat([0, 1])
    serve(turns, [0, 1], [1.0, 1.0], given_s)
    turns.seat([1])
    for _ in range(100):
        serve(turns, [1], [1.0, 1.0], given_s)
    turns.seat([0, 1])
    given_s = [0.0, 0.0]
    for _ in range(20):
        serve(turns, [0, 1], [1.0, 1.0], given_s)
    assert abs(given_s[0] - given_s[1]) <= 2
