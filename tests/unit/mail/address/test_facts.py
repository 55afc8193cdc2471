"""Facts about an address that need no probe."""

from pipeline.mail.address.facts import facts_about
from pipeline.mail.address.lists import Lists
from pipeline.mail.address.syntax import Address


def test_an_ordinary_address_has_nothing_to_remark() -> None:
    facts = facts_about(Address("grace", "acme.test"), "mx.acme.test", Lists())

    assert facts.to_json() == {
        "provider": None,
        "disposable": False,
        "free": False,
        "role": False,
        "did_you_mean": None,
        "same_mailbox": "grace@acme.test",
    }


def test_facts_come_together_from_lists_provider_and_names() -> None:
    facts = facts_about(Address("Info+spring", "gmail.com"), "gmail-smtp-in.l.google.com", Lists())

    assert facts.to_json() == {
        "provider": "google",
        "disposable": False,
        "free": True,
        "role": True,
        "did_you_mean": None,
        "same_mailbox": "info@gmail.com",
    }


def test_a_domain_whose_mail_goes_to_a_disposable_service_is_disposable() -> None:
    assert facts_about(Address("grace", "acme.test"), "mail.mailinator.com", Lists()).disposable


def test_the_address_that_was_probably_meant_keeps_its_local_part() -> None:
    facts = facts_about(Address("Grace", "gamil.com"), "", Lists())

    assert facts.did_you_mean == "Grace@gmail.com"
