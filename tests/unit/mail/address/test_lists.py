"""Disposable and free-mail domains, role accounts; the operator has the last word."""

from pathlib import Path

import pytest

from pipeline.mail.address.lists import LOOK_AGAIN, Lists


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("domain", ["mailinator.com", "yopmail.com", "guerrillamail.com", "inbox.mailinator.com"])
def test_a_disposable_domain_is_known_and_so_is_all_below_it(domain: str) -> None:
    assert Lists().is_disposable(domain)


@pytest.mark.parametrize("domain", ["", "gmail.com", "acme.test", "acme-mailinator.com", "mailinator.com.acme.test"])
def test_other_domains_are_not_disposable(domain: str) -> None:
    assert not Lists().is_disposable(domain)


@pytest.mark.parametrize("domain", ["gmail.com", "gmx.de", "163.com", "tutanota.com", "yahoo.co.uk"])
def test_a_domain_where_anybody_gets_an_address_is_free(domain: str) -> None:
    assert Lists().is_free(domain)


@pytest.mark.parametrize("domain", ["acme.test", "corp.mail.ru", "google.com", "microsoft.com", "yaho.com"])
def test_a_companys_domain_is_not_free_though_it_lies_below_one_that_is(domain: str) -> None:
    assert not Lists().is_free(domain)


def test_a_disposable_domain_is_not_called_free() -> None:
    assert not Lists().is_free("yopmail.com")


@pytest.mark.parametrize(
    "local_part",
    [
        "info", "INFO", "postmaster", "sales+spring", "info2", "support-1", "kontakt", "bewerbung", "ventas",
        "contabilidad", "facturation", "vendite", "inkoop", "no-reply", "biuro", "soumu",
    ],
)  # fmt: skip
def test_a_function_is_known_in_several_languages(local_part: str) -> None:
    assert Lists().is_role(local_part)


@pytest.mark.parametrize("local_part", ["grace", "grace.info", "information.hopper", "sal", "infograce", "2"])
def test_a_person_is_not_a_function(local_part: str) -> None:
    assert not Lists().is_role(local_part)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lists(tmp_path: Path, clock: Clock) -> Lists:
    return Lists(tmp_path, clock)


def test_the_operator_adds_entries_and_takes_entries_out(lists: Lists, tmp_path: Path) -> None:
    (tmp_path / "disposable.txt").write_text("# ours\n\nThrowaway.example  # seen today\n!mailinator.com\n")
    (tmp_path / "free.txt").write_text("@free.example\n!gmail.com\n")
    (tmp_path / "role.txt").write_text("leserbriefe\n!info\n")

    assert lists.is_disposable("throwaway.example")
    assert not lists.is_disposable("inbox.mailinator.com")
    assert (lists.is_free("free.example"), lists.is_free("gmail.com")) == (True, False)
    assert (lists.is_role("leserbriefe"), lists.is_role("info")) == (True, False)


def test_the_most_specific_entry_counts(lists: Lists, tmp_path: Path) -> None:
    (tmp_path / "disposable.txt").write_text("throwaway.example\n!staff.throwaway.example\n")

    assert lists.is_disposable("a.throwaway.example")
    assert not lists.is_disposable("a.staff.throwaway.example")


def test_the_operator_may_do_without_the_packages_entries(lists: Lists, tmp_path: Path) -> None:
    (tmp_path / "disposable.txt").write_text("!*\nthrowaway.example\n")

    assert lists.is_disposable("throwaway.example")
    assert not lists.is_disposable("mailinator.com")


def test_a_file_that_changes_is_read_again(lists: Lists, tmp_path: Path, clock: Clock) -> None:
    file = tmp_path / "disposable.txt"
    assert not lists.is_disposable("throwaway.example")

    file.write_text("throwaway.example\n")
    clock.now += LOOK_AGAIN
    assert lists.is_disposable("throwaway.example")

    file.unlink()
    clock.now += LOOK_AGAIN
    assert not lists.is_disposable("throwaway.example")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00broken", None])
def test_a_file_that_can_not_be_read_leaves_things_as_they_were(
    lists: Lists, tmp_path: Path, clock: Clock, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "disposable.txt"
    file.write_text("throwaway.example\n")
    assert lists.is_disposable("throwaway.example")

    if content is None:
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes(content)
    clock.now += LOOK_AGAIN

    assert lists.is_disposable("throwaway.example")
    assert "disposable.txt cannot be read" in caplog.text
