"""What a process works at once: each stage of a run once, and its conversations dealt out by account, then by run."""

from collections.abc import Sequence
from contextlib import ExitStack
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.at_work import AtWork, Share

CONVERSATIONS = 120
ONE, TWO, THREE = uuid4(), uuid4(), uuid4()


@pytest.fixture
def at_work() -> AtWork:
    return AtWork(CONVERSATIONS)


def share(account_id: UUID, in_use: int = 0, *, wants_more: bool = False) -> Share:
    return Share(account_id, uuid4(), in_use, wants_more)


def room(shares: Sequence[Share]) -> int:
    """The room of the first of these shares."""
    at_work = AtWork(CONVERSATIONS)
    with ExitStack() as stack:
        for each in shares:
            stack.enter_context(at_work.sharing(each))
        return at_work.room(shares[0])


def test_a_stage_of_a_run_is_entered_once_at_a_time(at_work: AtWork) -> None:
    place = at_work.enter(ONE, "email_lookup")

    assert place is not None
    assert at_work.enter(ONE, "email_lookup") is None
    assert at_work.enter(ONE, "other") is not None
    at_work.leave(place)
    assert at_work.enter(ONE, "email_lookup") is not None


def test_a_chain_step_that_finds_its_place_taken_is_noted_and_a_chunk_task_is_not(at_work: AtWork) -> None:
    place = at_work.enter(ONE, "email_lookup")
    assert place is not None

    assert at_work.enter(ONE, "email_lookup") is None
    assert not place.was_asked_for
    assert at_work.enter_or_ask(ONE, "email_lookup") is None
    assert place.was_asked_for


def test_a_task_that_handed_on_does_not_take_the_place_of_its_successor(at_work: AtWork) -> None:
    place = at_work.enter(ONE, "email_lookup")
    assert place is not None
    at_work.leave(place)
    at_work.enter(ONE, "email_lookup")

    at_work.leave(place)

    assert at_work.enter(ONE, "email_lookup") is None


def test_a_run_alone_has_all_conversations() -> None:
    assert room([share(ONE, in_use=50)]) == CONVERSATIONS - 50


def test_a_run_that_has_none_may_begin_although_all_are_in_use() -> None:
    assert room([share(ONE), share(TWO, in_use=CONVERSATIONS)]) == 1


def test_nobody_goes_beyond_their_share_while_another_account_wants_more() -> None:
    assert room([share(ONE, in_use=60), share(TWO, in_use=20, wants_more=True)]) == 0
    assert room([share(ONE, in_use=50), share(TWO, in_use=20, wants_more=True)]) == 10


def test_what_another_account_does_not_want_is_free_for_all() -> None:
    assert room([share(ONE, in_use=60), share(TWO, in_use=20)]) == CONVERSATIONS - 80
    assert room([share(ONE, in_use=40), share(TWO, in_use=70, wants_more=True)]) == CONVERSATIONS - 110


def test_the_runs_of_an_account_divide_its_share() -> None:
    """Three runs of one account have together what one run of another has."""
    others = [share(ONE, in_use=25), share(ONE, in_use=0, wants_more=True), share(TWO, in_use=40)]

    assert room([share(ONE, in_use=20), *others]) == 0
    assert room([share(TWO, in_use=40), share(ONE, in_use=0, wants_more=True), share(ONE)]) == 20


@given(
    st.lists(st.tuples(st.sampled_from([ONE, TWO, THREE]), st.integers(0, CONVERSATIONS), st.booleans()), min_size=1)
)
def test_never_more_are_begun_than_there_are_but_for_the_first_of_a_run(
    given_shares: list[tuple[UUID, int, bool]],
) -> None:
    shares = [share(account_id, in_use, wants_more=wants) for account_id, in_use, wants in given_shares]
    in_use = sum(each.in_use for each in shares)

    assert 0 <= room(shares) <= max(CONVERSATIONS - in_use, 0 if shares[0].in_use else 1)
