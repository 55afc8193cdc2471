"""Other sources are asked about what mail servers leave open, and about nothing else."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from pipeline.contacts import Batch, Contact
from pipeline.errors import StorageFailed
from pipeline.lookup.providers.breaker import CircuitBreaker
from pipeline.lookup.providers.companies import CompaniesFile
from pipeline.lookup.providers.journal import Journal
from pipeline.lookup.providers.metered import StepResult, Unanswered
from pipeline.lookup.providers.source import Found, NotFound, Person
from pipeline.lookup.providers.waterfall import Sources, Waterfall
from pipeline.mail.outage import SMTP_PORT_BLOCKED
from pipeline.outcomes import Deferral, Outcome, OutcomeStatus, Reason
from pipeline.stages.email_lookup import EmailLookup
from tests.unit.lookup.looking_up import ACME, contacts
from tests.unit.mail.servers.scripted_servers import Reply, Seen, mail_host, world

LATER = Unanswered(Reason.PROVIDER_UNAVAILABLE, wait=90)
CATCH_ALL = mail_host(unknown=b"250 2.1.5 Ok")


@dataclass
class Script:
    """A source with given replies that records whom it was asked about."""

    reply: StepResult | None = field(default_factory=NotFound)
    name: str = "script"
    is_free: bool = False
    breaker: CircuitBreaker | None = None
    asked: list[Person] = field(default_factory=list)

    async def ask(self, person: Person, _journal: Journal, _left: Decimal | None) -> StepResult | None:
        self.asked.append(person)
        return self.reply

    async def close(self) -> None:
        pass


def look_up(
    contacts: Sequence[Contact],
    servers: Mapping[str, Reply],
    *sources: Script,
    companies: Mapping[str, str] | None = None,
    **config: Any,
) -> tuple[list[Outcome | Deferral], dict[str, Seen]]:
    async def scenario() -> tuple[list[Outcome | Deferral], dict[str, Seen]]:
        async with world(servers, **config) as scripted:
            waterfall = Waterfall(sources, companies=CompaniesFile(companies or {}))
            work = EmailLookup().work(Batch(contacts), scripted.network, waterfall)
            results = [each async for each in work]
            return sorted(results, key=lambda each: each.position), scripted.seen

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    "server", [mail_host(), CATCH_ALL, mail_host(replies={"": b"554 5.7.1 blocked by a blocklist"})]
)
def test_an_address_that_a_source_gives_is_found_and_names_its_source(server: Reply) -> None:
    source = Script(Found("grace@acme.test", 88, {"verification": "valid"}))

    ((outcome,), _) = look_up(contacts("Grace Hopper"), {ACME: server}, source)

    assert isinstance(outcome, Outcome)
    assert (outcome.status, outcome.reason, outcome.email) == (OutcomeStatus.FOUND, Reason.PROVIDED, "grace@acme.test")
    assert (outcome.source, outcome.score) == ("script", 88)
    assert outcome.evidence.sources == {"script": "found"}
    assert outcome.evidence.provided == {"verification": "valid"}


def test_about_an_address_that_the_mail_server_confirms_no_source_is_asked() -> None:
    source = Script()

    ((outcome,), _) = look_up(contacts("Grace Hopper"), {ACME: mail_host("grace.hopper")}, source)

    assert isinstance(outcome, Outcome)
    assert outcome.email == "grace.hopper@acme.test"
    assert source.asked == []


def test_sources_are_asked_in_order_until_one_knows() -> None:
    first, second, third = Script(name="a"), Script(Found("g@acme.test"), name="b"), Script(name="c")

    ((outcome,), _) = look_up(contacts("Grace Hopper"), {ACME: mail_host()}, first, second, third)

    assert isinstance(outcome, Outcome)
    assert outcome.evidence.sources == {"a": "not_found", "b": "found"}
    assert (len(first.asked), len(second.asked), len(third.asked)) == (1, 1, 0)


def test_if_no_source_knows_the_mail_servers_reason_stands() -> None:
    ((outcome,), _) = look_up(contacts("Grace Hopper"), {ACME: mail_host()}, Script())

    assert isinstance(outcome, Outcome)
    assert outcome.reason is Reason.EVERY_CANDIDATE_REFUSED
    assert outcome.evidence.sources == {"script": "not_found"}


@pytest.mark.parametrize(
    "reason", [Reason.OUT_OF_BUDGET, Reason.PROVIDER_KEY_REJECTED, Reason.PROVIDER_OUT_OF_CREDIT, Reason.ANSWER_LOST]
)
def test_a_source_that_could_not_be_asked_is_the_reason(reason: Reason) -> None:
    ((outcome,), _) = look_up(contacts("Grace Hopper"), {ACME: mail_host()}, Script(Unanswered(reason)))

    assert isinstance(outcome, Outcome)
    assert (outcome.reason, outcome.evidence.mail_server) == (reason, Reason.EVERY_CANDIDATE_REFUSED)


def test_nothing_is_paid_where_no_address_takes_mail_but_the_users_own_directory_is_asked() -> None:
    paid, own = Script(name="paid"), Script(Found("grace@elsewhere.test"), name="own", is_free=True)

    ((outcome,), _) = look_up(contacts("Grace Hopper", domain="gone.test"), {ACME: mail_host()}, paid, own)

    assert isinstance(outcome, Outcome)
    assert (outcome.email, outcome.source) == ("grace@elsewhere.test", "own")
    assert paid.asked == []


def test_a_contact_deferred_by_a_provider_is_not_probed_a_second_time() -> None:
    source = Script(LATER)
    (first,), _ = look_up(contacts("Grace Hopper"), {ACME: mail_host()}, source)
    back = Contact(0, full_name="Grace Hopper", domain=ACME, deferrals=1, deferred_for=Reason.PROVIDER_UNAVAILABLE)
    source.reply = NotFound()

    (second,), seen = look_up([back], {ACME: mail_host()}, source)

    assert first == Deferral(0, 90, Reason.PROVIDER_UNAVAILABLE)
    assert isinstance(second, Outcome)
    assert second.reason is Reason.UNKNOWN_TO_SOURCES
    assert seen[ACME].sessions == 0


def test_a_contact_deferred_often_enough_gets_an_outcome_unless_only_our_own_rate_limit_delays_it() -> None:
    back = Contact(0, full_name="Grace Hopper", domain=ACME, deferrals=2, deferred_for=Reason.PROVIDER_UNAVAILABLE)
    paced = Unanswered(Reason.PROVIDER_UNAVAILABLE, wait=20, ours=True)

    ((ended,), _) = look_up([back], {ACME: mail_host()}, Script(LATER), defer_seconds=(1, 1))
    ((waits,), _) = look_up([back], {ACME: mail_host()}, Script(paced), defer_seconds=(1, 1))

    assert isinstance(ended, Outcome)
    assert ended.reason is Reason.PROVIDER_UNAVAILABLE
    assert waits == Deferral(0, 20, Reason.PROVIDER_UNAVAILABLE)


def test_a_company_that_is_known_is_looked_up_at_its_domain_and_an_unknown_one_says_so() -> None:
    contacts = [
        Contact(0, full_name="Grace Hopper", company="Acme Inc."),
        Contact(1, full_name="Ada Lovelace", company="Nowhere"),
        Contact(2, full_name="Alan Turing"),
    ]

    (known, unknown, none), _ = look_up(contacts, {ACME: mail_host("grace.hopper")}, companies={"acme": ACME})

    assert isinstance(known, Outcome)
    assert known.email == "grace.hopper@acme.test"
    assert isinstance(unknown, Outcome)
    assert unknown.reason is Reason.COMPANY_UNKNOWN
    assert isinstance(none, Outcome)
    assert none.reason is Reason.DOMAIN_UNUSABLE


def test_a_source_that_raises_affects_only_the_contact_it_was_asked_about() -> None:
    class Broken(Script):
        async def ask(self, person: Person, _journal: Journal, _left: Decimal | None) -> StepResult | None:
            if person.full_name == "Grace Hopper":
                raise RuntimeError("a fault of the source")
            return NotFound()

    (grace, ada), _ = look_up(contacts("Grace Hopper", "Ada Lovelace"), {ACME: mail_host()}, Broken())

    assert isinstance(grace, Outcome)
    assert isinstance(ada, Outcome)
    assert (grace.reason, ada.reason) == (Reason.INTERNAL_ERROR, Reason.EVERY_CANDIDATE_REFUSED)


def test_a_journal_that_can_not_be_written_is_no_fault_of_a_contact() -> None:
    class Unwritable(Script):
        async def ask(self, _person: Person, _journal: Journal, _left: Decimal | None) -> StepResult | None:
            raise StorageFailed("journal", "database error 57014")

    with pytest.raises(StorageFailed):
        look_up(contacts("Grace Hopper", "Ada Lovelace"), {ACME: mail_host()}, Unwritable())


def test_closing_the_stage_early_cancels_the_questions_in_flight() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    class Endless(Script):
        async def ask(self, _person: Person, _journal: Journal, _left: Decimal | None) -> StepResult | None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            return None

    async def scenario() -> None:
        async with world({ACME: mail_host("ada.lovelace")}) as scripted:
            people = contacts("Grace Hopper", "Ada Lovelace")
            work = EmailLookup().work(Batch(people), scripted.network, Waterfall([Endless()]))
            assert (await anext(work)).position == 1
            await begun.wait()
            await work.aclose()  # type: ignore[attr-defined]

    asyncio.run(scenario())

    assert ended.is_set()


def open_breaker(reason: Reason) -> CircuitBreaker:
    breaker = CircuitBreaker()
    breaker.shut(60, reason)
    return breaker


def test_there_is_no_outage_while_mail_or_a_provider_may_answer() -> None:
    down = Script(breaker=open_breaker(Reason.PROVIDER_KEY_REJECTED))
    well = Script(breaker=CircuitBreaker())

    assert Sources([down]).outage(None) is None
    assert Sources([down, well]).outage(SMTP_PORT_BLOCKED) is None
    assert Sources([Script(is_free=True)]).outage(SMTP_PORT_BLOCKED) is SMTP_PORT_BLOCKED
    assert Sources([Script(breaker=open_breaker(Reason.PROVIDER_UNAVAILABLE))]).outage(SMTP_PORT_BLOCKED) is not None


def test_a_provider_that_rejects_our_key_is_named_where_it_was_the_last_hope() -> None:
    outage = Sources([Script(breaker=open_breaker(Reason.PROVIDER_KEY_REJECTED))]).outage(SMTP_PORT_BLOCKED)

    assert outage is not None
    assert outage.code == "provider_key_rejected"
    assert "The provider script rejects our key" in outage.message
