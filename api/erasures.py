"""Erasing people over HTTP: from the account's runs, and from what the account knows."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from sqlalchemy import Row

from api.access import AccountId
from api.apart import Resources, work_apart
from api.bodies import Body, Turn, parse_erasure
from api.document import body_of
from api.runs import ERRORS
from models.privacy_wire import ErasureDone, ErasureRequest, PersonToErase
from models.schema import new_id
from models.status import TERMINAL_RUN_STATUSES
from pipeline.errors import InvalidInput
from pipeline.lookup.providers.source import Person
from pipeline.mail.address.syntax import normalise_domain
from pipeline.privacy import erasure, suppressions
from pipeline.privacy.erasure import Wanted
from pipeline.runs import live_state
from pipeline.runs.live_state import LiveState
from worker.dispatch import broker_may_be_away, send_export

log = logging.getLogger(__name__)

erasures = APIRouter(prefix="/api/v1/growth", responses=ERRORS)  # type: ignore[arg-type]


@erasures.post(
    "/erasures",
    dependencies=[Turn],
    openapi_extra=body_of(ErasureRequest),
)
def erase(request: Request, account_id: AccountId, body: Body) -> ErasureDone:
    """Erase people. Cut short, it is done by sending it again; what is gone already is not counted again."""
    # However short the list of people is, all contacts of the account are read.
    return work_apart(request, body, _erase, account_id)


def _erase(resources: Resources, body: bytes, account_id: UUID) -> ErasureDone:
    wish = parse_erasure(body)
    step = _Erasing(resources, account_id, _wanted(wish.people))
    # First of all the list, under which chunk tasks at work write nothing about them any more.
    suppressed = step.suppress() if wish.suppress else 0
    step.learn()
    suppressed += step.suppress() if wish.suppress else 0
    contacts = step.erase_contacts()
    with resources.database.transaction() as session:
        verdicts = erasure.forget_verdicts(session, account_id, step.wanted)
        lookups = erasure.forget_lookups(session, account_id, step.wanted)
        answers = erasure.forget_answers(session, account_id, step.wanted)
    return ErasureDone(
        erasure_id=step.erasure_id,
        run_ids=step.run_ids,
        contacts=contacts,
        verdicts=verdicts,
        lookups=lookups,
        provider_answers=answers,
        suppressed=suppressed,
    )


@dataclass(slots=True)
class _Erasing:
    """One erasure on its way; each step is a transaction, or several."""

    resources: Resources
    account_id: UUID
    wanted: Wanted
    erasure_id: UUID = field(default_factory=new_id)
    run_ids: list[UUID] = field(default_factory=list)

    def suppress(self) -> int:
        """Put all that is known of them on the suppression list."""
        with self.resources.database.transaction() as session:
            entries = suppressions.entries_of(self.wanted.addresses, self.wanted.questions)
            return suppressions.add(session, self.account_id, entries)

    def learn(self) -> None:
        """Find out by what else they are known: an address tells a name, a name an address."""
        for run_id, first in self._batches():
            for contact in self._found(run_id, first):
                self.wanted.learn(contact)

    def erase_contacts(self) -> int:
        """Erase them from all runs, and have readers and export files follow."""
        erased = 0
        for run_id, first in self._batches():
            found = [contact.position for contact in self._found(run_id, first)]
            with self.resources.database.transaction() as session:
                run, contacts = erasure.erase_contacts(session, run_id, first, found, self.wanted, self.erasure_id)
                state = live_state.build(session, run, self.resources.settings.public_url) if contacts else None
            if state is not None:
                erased += contacts
                self._tell(state, is_over=run.status in TERMINAL_RUN_STATUSES)
        return erased

    def _found(self, run_id: UUID, first: int) -> Iterator[Row[Any]]:
        """The wanted of a batch. Clients' columns are looked through while no transaction is open."""
        with self.resources.database.transaction() as session:
            batch = erasure.read_batch(session, run_id, first)
        return filter(self.wanted.has, batch)

    def _tell(self, state: LiveState, *, is_over: bool) -> None:
        if state.run_id not in self.run_ids:
            self.run_ids.append(state.run_id)
        live_state.publish(self.resources.redis, state, self.resources.settings.live_state_seconds)
        if is_over:
            with broker_may_be_away(state.run_id):
                send_export(state.run_id)

    def _batches(self) -> Iterator[tuple[UUID, int]]:
        with self.resources.database.transaction() as session:
            runs = erasure.runs_with_data(session, self.account_id)
        for run_id, contacts in runs:
            for first in range(0, contacts, erasure.BATCH):
                yield run_id, first


def _wanted(people: list[PersonToErase]) -> Wanted:
    wanted = Wanted()
    for number, person in enumerate(people, start=1):
        domain = normalise_domain(person.domain) if person.domain else ""
        named = domain and wanted.add_person(Person(person.first_name, person.last_name, person.full_name, domain))
        addressed = bool(person.email) and wanted.add_address(person.email)
        if (person.email and not addressed) or not (named or addressed):
            raise InvalidInput(f"person {number}: its email is no address, or its name and domain are none: correct it")
    return wanted
