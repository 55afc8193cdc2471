"""Which domain was probably meant."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.mail.address.lists import FREE_DOMAINS
from pipeline.mail.address.typos import WELL_KNOWN, did_you_mean


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("gamil.com", "gmail.com"),
        ("gmial.com", "gmail.com"),
        ("gmal.com", "gmail.com"),
        ("gnail.com", "gmail.com"),
        ("gmaill.com", "gmail.com"),
        ("mgail.com", "gmail.com"),
        ("gmail.co", "gmail.com"),
        ("gmail.con", "gmail.com"),
        ("gmail.cm", "gmail.com"),
        ("gmail.fr", "gmail.com"),
        ("gmial.con", "gmail.com"),
        ("hotmial.com", "hotmail.com"),
        ("hotmai.com", "hotmail.com"),
        ("hotmail.con", "hotmail.com"),
        ("yaho.com", "yahoo.com"),
        ("yhaoo.com", "yahoo.com"),
        ("yahoo.co.ku", "yahoo.co.uk"),
        ("outlok.com", "outlook.com"),
        ("iclod.com", "icloud.com"),
        ("aol.con", "aol.com"),
        ("protonmial.com", "protonmail.com"),
        ("tonline.de", "t-online.de"),
        ("comcst.net", "comcast.net"),
    ],
)
def test_a_slip_of_the_finger_is_recognised(typed: str, meant: str) -> None:
    assert did_you_mean(typed) == meant


@pytest.mark.parametrize(
    "domain",
    [
        "gmail.com", "mail.com", "email.com", "ymail.com", "cloud.com", "aol.co", "gmx.se", "web.dk", "comcast.com",
        "google.com", "acme.test", "orchard-foods.test", "lives.com", "photon.me", "horizon.net", "", "test",
    ],
)  # fmt: skip
def test_a_domain_of_its_own_is_left_alone(domain: str) -> None:
    assert did_you_mean(domain) is None


@pytest.mark.parametrize("domain", WELL_KNOWN)
def test_no_well_known_domain_is_a_slip_of_another(domain: str) -> None:
    assert did_you_mean(domain) is None


@settings(deadline=None)
@given(st.sampled_from(sorted(FREE_DOMAINS)))
def test_no_free_mail_domain_is_a_slip_of_another(domain: str) -> None:
    assert did_you_mean(domain) is None


@settings(deadline=None)
@given(st.sampled_from(WELL_KNOWN), st.integers(1, 100))
def test_a_doubled_letter_is_always_recognised_or_makes_another_known_name(domain: str, at: int) -> None:
    label, _, ending = domain.partition(".")
    at %= len(label)
    typed = f"{label[: at + 1]}{label[at:]}.{ending}"

    assert len(label) <= 4 or typed in FREE_DOMAINS or did_you_mean(typed) == domain
