"""People are looked up where their company takes mail, and nowhere where everybody may be."""

from pathlib import Path

import pytest

from pipeline.contacts import Contact
from pipeline.outcomes import Reason
from tests.unit.lookup.looking_up import contacts, look_up, summary
from tests.unit.mail.servers.scripted_servers import mail_host

GRACE = mail_host("grace.hopper")


@pytest.mark.parametrize("website", ["https://en.acme.test/about", "www2.acme.test", "shop.eu.acme.test"])
def test_a_website_that_takes_no_mail_gives_way_to_the_registrable_domain(website: str) -> None:
    outcomes, _ = look_up(contacts("Grace Hopper", domain=website), {"acme.test": GRACE})

    assert summary(outcomes) == [("grace.hopper@acme.test", Reason.MAILBOX_EXISTS)]


def test_a_host_that_has_an_address_and_no_mail_servers_gives_way_too() -> None:
    web_hosts = {"en.acme.test": "127.7.9.9"}

    outcomes, _ = look_up(contacts("Grace Hopper", domain="en.acme.test"), {"acme.test": GRACE}, web_hosts=web_hosts)

    assert summary(outcomes) == [("grace.hopper@acme.test", Reason.MAILBOX_EXISTS)]


def test_a_host_with_mail_servers_of_its_own_stays_as_it_is() -> None:
    servers = {"acme.test": mail_host(), "uk.acme.test": GRACE}

    outcomes, _ = look_up(contacts("Grace Hopper", domain="uk.acme.test"), servers)

    assert summary(outcomes) == [("grace.hopper@uk.acme.test", Reason.MAILBOX_EXISTS)]


def test_namesakes_at_a_website_and_at_the_domain_above_are_one_person() -> None:
    people = [Contact(0, full_name="Grace Hopper", domain="en.acme.test"), *contacts("-", "Grace Hopper")[1:]]

    outcomes, seen = look_up(people, {"acme.test": GRACE})

    assert [email for email, _ in summary(outcomes)] == ["grace.hopper@acme.test"] * 2
    assert seen["acme.test"].sessions == 1


@pytest.mark.parametrize(
    "domain", ["gmail.com", "https://www.linkedin.com/company/acme-example", "bit.ly/x", "de.linkedin.com"]
)
def test_at_a_domain_that_is_anybodys_nobody_is_looked_up(domain: str) -> None:
    host = domain.removeprefix("https://www.").partition("/")[0]

    outcomes, seen = look_up(contacts("Grace Hopper", domain=domain), {host: GRACE})

    assert summary(outcomes) == [(None, Reason.NOT_A_COMPANY_DOMAIN)]
    assert seen[host].sessions == 0


def test_the_operators_lists_say_which_domains_are_anybodys(tmp_path: Path) -> None:
    (tmp_path / "free.txt").write_text("freemail.test\n")
    (tmp_path / "shared.txt").write_text("profiles.test\n!xing.com\n")
    people = [
        Contact(number, full_name="Grace Hopper", domain=domain)
        for number, domain in enumerate(("freemail.test", "me.profiles.test", "xing.com"))
    ]

    outcomes, _ = look_up(people, {"xing.com": GRACE}, lists_dir=tmp_path)

    assert [reason for _, reason in summary(outcomes)] == [
        Reason.NOT_A_COMPANY_DOMAIN, Reason.NOT_A_COMPANY_DOMAIN, Reason.MAILBOX_EXISTS
    ]  # fmt: skip
