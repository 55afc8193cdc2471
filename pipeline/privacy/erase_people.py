"""Erases people from an account, step by step: its suppression list, its runs, and what it remembers.

Each step commits. An erasure that was cut short is completed by starting it again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from models.database import Database
from models.privacy_wire import PersonToErase
from models.schema import new_id
from pipeline.errors import InvalidInput
from pipeline.lookup.providers.source import Person
from pipeline.mail.address.syntax import normalise_domain
from pipeline.privacy import erasure, suppressions
from pipeline.privacy.erasure import Wanted
from pipeline.privacy.uploads import UploadErasure


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure removed: the runs it changed, and counts. `suppressed` counts new entries of the list."""

    erasure_id: UUID
    run_ids: Sequence[UUID]
    contacts: int
    verdicts: int
    lookups: int
    provider_answers: int
    suppressed: int


def erase_people(
    database: Database,
    account_id: UUID,
    people: Sequence[PersonToErase],
    *,
    suppress: bool,
    on_change: Callable[[UUID], None],
) -> Erased:
    """Erase people from the account; with `suppress`, put them on its suppression list as well.

    `on_change` is called with a run's id whenever contacts of that run have been erased, after the commit. Raises
    `InvalidInput` for a person who can't be recognised.
    """
    erasing = _Erasing(database, account_id, _wanted(people), on_change)
    # The list first: chunk tasks that are running then write no more of these addresses.
    suppressed = erasing.suppress() if suppress else 0
    erasing.learn()
    suppressed += erasing.suppress() if suppress else 0
    # Uploads first, so that no further run gets the people from there; and again for contacts that only runs showed.
    erasing.erase_from_uploads()
    contacts = erasing.erase_contacts()
    erasing.erase_from_uploads()
    with database.transaction() as session:
        return Erased(
            erasing.erasure_id,
            erasing.run_ids,
            contacts,
            verdicts=erasure.forget_verdicts(session, account_id, erasing.wanted),
            lookups=erasure.forget_lookups(session, account_id, erasing.wanted),
            provider_answers=erasure.forget_answers(session, account_id, erasing.wanted),
            suppressed=suppressed,
        )


@dataclass(slots=True)
class _Erasing:
    """An erasure in progress. Each step is one transaction or several."""

    database: Database
    account_id: UUID
    wanted: Wanted
    on_change: Callable[[UUID], None]
    erasure_id: UUID = field(default_factory=new_id)
    run_ids: list[UUID] = field(default_factory=list)

    def suppress(self) -> int:
        """Put all known names and addresses of the people on the suppression list."""
        with self.database.transaction() as session:
            entries = suppressions.entries_of(self.wanted.addresses, self.wanted.questions)
            return suppressions.add(session, self.account_id, entries)

    def learn(self) -> None:
        """Find further names and addresses of the people, in contacts that have a known address or name."""
        for run_id, first in self._batches():
            for contact in self._found(run_id, first):
                self.wanted.learn(contact)
        for row in self._uploads().found():
            self.wanted.learn(row)

    def erase_contacts(self) -> int:
        """Erase the people from all runs; return the number of erased contacts."""
        erased = 0
        for run_id, first in self._batches():
            found = [contact.position for contact in self._found(run_id, first)]
            with self.database.transaction() as session:
                _, contacts = erasure.erase_contacts(session, run_id, first, found, self.wanted, self.erasure_id)
            if contacts:
                erased += contacts
                self._note_change(run_id)
        return erased

    def erase_from_uploads(self) -> None:
        """Erase the people from all uploads, also the contacts that were erased from runs."""
        for run_id in self._uploads().erase():
            self._note_change(run_id)

    def _uploads(self) -> UploadErasure:
        return UploadErasure(self.database, self.account_id, self.wanted)

    def _note_change(self, run_id: UUID) -> None:
        if run_id not in self.run_ids:
            self.run_ids.append(run_id)
        self.on_change(run_id)

    def _found(self, run_id: UUID, first: int) -> Iterator[Row[Any]]:
        """The wanted contacts of a batch. They are searched while no transaction is open: that may take long."""
        with self.database.transaction() as session:
            batch = erasure.read_batch(session, run_id, first)
        return filter(self.wanted.has, batch)

    def _batches(self) -> Iterator[tuple[UUID, int]]:
        with self.database.transaction() as session:
            runs = erasure.runs_with_data(session, self.account_id)
        for run_id, contacts in runs:
            for first in range(0, contacts, erasure.BATCH):
                yield run_id, first


def _wanted(people: Sequence[PersonToErase]) -> Wanted:
    wanted = Wanted()
    for number, person in enumerate(people, start=1):
        domain = normalise_domain(person.domain) if person.domain else ""
        named = domain and wanted.add_person(Person(person.first_name, person.last_name, person.full_name, domain))
        addressed = bool(person.email) and wanted.add_address(person.email)
        if (person.email and not addressed) or not (named or addressed):
            raise InvalidInput(
                f"person {number}: the email is not a valid address, or name and domain are not usable: correct them"
            )
    return wanted
