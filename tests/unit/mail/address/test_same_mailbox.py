"""Addresses that reach the same mailbox, as far as providers document it."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.mail.address.same_mailbox import same_mailbox_key
from pipeline.mail.address.syntax import Address, parse_address


def key(text: str, provider: str = "") -> str:
    address = parse_address(text)
    assert isinstance(address, Address)
    return same_mailbox_key(address, provider)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("grace.hopper@gmail.com", "GraceHopper+news@googlemail.com"),
        ("grace@outlook.com", "grace+news@outlook.com"),
        ("grace@icloud.com", "grace+news@me.com"),
        ("grace.hopper@proton.me", "grace_hopper+news@pm.me"),
        ("grace@yahoo.com", "grace-news@yahoo.com"),
        ("grace@fastmail.com", "grace+news@fastmail.com"),
        ("grace@ya.ru", "grace+news@yandex.com"),
        ("Grace@acme.test", "grace@ACME.test"),
    ],
)
def test_two_ways_to_write_one_mailbox_have_one_key(one: str, other: str) -> None:
    assert key(one) == key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("grace.hopper@acme.test", "gracehopper@acme.test"),
        ("grace@acme.test", "grace+news@acme.test"),
        ("grace.hopper@outlook.com", "gracehopper@outlook.com"),
        ("grace@outlook.com", "grace@hotmail.com"),
        ("grace@yahoo.com", "grace+news@yahoo.com"),
        ("grace-news@gmail.com", "grace@gmail.com"),
        ("grace@yahoo.com", "grace@ymail.com"),
    ],
)
def test_what_no_provider_documents_is_not_assumed(one: str, other: str) -> None:
    assert key(one) != key(other)


def test_a_company_at_google_or_microsoft_takes_tags_but_dots_matter() -> None:
    assert key("grace+news@acme.test", "google") == key("grace@acme.test", "google")
    assert key("grace+news@acme.test", "microsoft365") == key("grace@acme.test", "microsoft365")
    assert key("grace.hopper@acme.test", "google") != key("gracehopper@acme.test", "google")


@settings(deadline=None)
@given(
    st.from_regex(r"[a-z0-9]([a-z0-9.+_-]{0,20}[a-z0-9])?", fullmatch=True),
    st.sampled_from(["gmail.com", "outlook.com", "yahoo.com", "proton.me", "yandex.ru", "acme.test"]),
)
@example("grace.-news", "yahoo.com")
def test_a_key_is_an_address_whose_key_is_itself(local_part: str, domain: str) -> None:
    address = parse_address(f"{local_part}@{domain}")
    if isinstance(address, Address):
        once = same_mailbox_key(address)

        assert key(once) == once
