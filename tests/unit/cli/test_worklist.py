"""What is left to check of a list: each address once, the large domain last, and nothing lost by an interruption."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.verify.worklist import SLICE, PendingAddress, Worklist
from pipeline.evidence import Evidence, ReplyEvidence
from pipeline.mail.address.syntax import Address
from pipeline.outcomes import Outcome, OutcomeStatus, Reason

NOW = 1_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".out.csv.progress"


@pytest.fixture
def worklist(path: Path) -> Iterator[Worklist]:
    opened = loaded(path, 3)
    yield opened
    opened.close()


def loaded(path: Path, *sizes: int, fingerprint: str = "list") -> Worklist:
    """A worklist of so many addresses at d0.test, d1.test, ..."""
    worklist = Worklist(path)
    if not worklist.is_loaded(fingerprint):
        worklist.load(Address(f"p{n}", f"d{index}.test") for index, size in enumerate(sizes) for n in range(size))
    return worklist


def valid(pending: PendingAddress) -> Outcome:
    evidence = Evidence(ReplyEvidence(mail_host="mx"))
    return Outcome(0, OutcomeStatus.VALID, Reason.MAILBOX_EXISTS, pending.email, score=97, evidence=evidence)


def batches(worklist: Worklist) -> list[list[str]]:
    return [[each.email for each in batch] for batch in iter(lambda: worklist.next_batch(NOW), [])]


def test_each_address_is_in_one_batch_however_often_the_list_has_it(path: Path) -> None:
    worklist = Worklist(path)
    worklist.is_loaded("list")
    worklist.load([Address("grace", "acme.test")] * 3 + [Address("ada", "acme.test")])

    assert batches(worklist) == [["ada@acme.test", "grace@acme.test"]]
    assert worklist.size == 2
    worklist.close()


def test_a_large_domain_is_cut_and_lets_the_others_go_first(path: Path) -> None:
    worklist = loaded(path, 2 * SLICE + 1, 2)

    slices = batches(worklist)

    assert [(part[0].partition("@")[2], len(part)) for part in slices] == [
        ("d0.test", SLICE), ("d1.test", 2), ("d0.test", SLICE), ("d0.test", 1),
    ]  # fmt: skip
    worklist.close()


def test_a_deferred_address_comes_again_when_it_is_due_and_not_before(worklist: Worklist) -> None:
    first, *others = worklist.next_batch(NOW)
    worklist.record([valid(each) for each in others])
    worklist.defer(first, NOW + 60, 60)

    assert worklist.has_deferred
    assert worklist.next_batch(NOW + 59) == []
    assert worklist.next_batch(NOW + 60) == [PendingAddress(first.email, deferrals=1, waited=60)]
    assert worklist.next_batch(NOW + 60) == []


def test_what_has_waited_for_longer_than_the_patience_of_the_next_attempt_is_due_at_once(path: Path) -> None:
    before = loaded(path, 2)
    long, short = before.next_batch(NOW)
    before.defer(long, NOW + 60, 60)
    before.defer(short, NOW + 30, 30)
    before.close()

    after = loaded(path, 2)
    after.end_waits(patience=30)

    assert [each.email for each in after.next_batch(NOW)] == [long.email]
    assert after.next_batch(NOW + 29) == []
    assert [each.email for each in after.next_batch(NOW + 30)] == [short.email]
    after.close()


def test_after_an_interruption_outcomes_stay_and_the_rest_comes_again(path: Path) -> None:
    before = loaded(path, 3)
    first, second, third = before.next_batch(NOW)
    before.record([valid(first)])
    before.defer(second, NOW + 60, 60)
    before.close()

    after = loaded(path, 3)

    assert (after.done, after.outcomes([first.email])[first.email].score) == (1, 97)
    assert [each.email for each in after.next_batch(NOW)] == [third.email]
    assert after.has_deferred
    after.close()


def test_another_list_begins_anew(path: Path) -> None:
    before = loaded(path, 3)
    before.record([valid(each) for each in before.next_batch(NOW)])
    before.close()

    after = loaded(path, 2, fingerprint="another list")

    assert (after.size, after.done) == (2, 0)
    after.close()


def test_a_list_whose_loading_was_cut_short_begins_anew(path: Path) -> None:
    def breaks() -> Iterator[Address]:
        yield Address("grace", "acme.test")
        raise KeyboardInterrupt

    before = Worklist(path)
    before.is_loaded("list")
    with pytest.raises(KeyboardInterrupt):
        before.load(breaks())
    before.close()

    after = loaded(path, 2)

    assert after.size == 2
    after.close()


def test_outcomes_of_an_outage_are_forgotten(worklist: Worklist) -> None:
    batch = worklist.next_batch(NOW)
    unreachable = Outcome(0, OutcomeStatus.UNKNOWN, Reason.SERVER_UNREACHABLE, batch[0].email)
    worklist.record([unreachable, valid(batch[1])])

    worklist.reopen([Reason.SERVER_UNREACHABLE])

    assert list(worklist.outcomes([each.email for each in batch])) == [batch[1].email]
    assert worklist.done == 1
