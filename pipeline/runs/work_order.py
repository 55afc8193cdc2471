"""The order in which a run's contacts are worked, and which of them repeat a person: those cost nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from models.wire import ContactIn
from pipeline.lookup.names.same_person import domain_in, same_contact

_FIELDS = ("first_name", "last_name", "full_name", "company", "domain", "email")


class Place(NamedTuple):
    """Where a contact stands; in order of work. `first_row` is the row of the first contact of the same person.

    Contacts of one domain are neighbours, so that a chunk shares its SMTP sessions, and so are those of one person.
    """

    domain: str
    company: str
    first_row: int
    row: int


@dataclass(slots=True)
class WorkOrder:
    """The contacts of a plan in the order of work. `repeats` are the positions of those that repeat a person."""

    places: list[Place]
    repeats: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, contacts: Sequence[ContactIn], preset: str) -> "WorkOrder":
        """Order contacts by domain, or by company if the domain is unknown."""
        first: dict[str, int] = {}
        by_address = preset != "full_pipeline"
        places = [
            Place(
                *_neighbours(contact), first.setdefault(same_contact(_fields(contact), by_address=by_address), row), row
            )
            for row, contact in enumerate(contacts)
        ]
        places.sort()
        return cls(places, [number for number, place in enumerate(places) if place.first_row != place.row])

    @property
    def charged(self) -> int:
        """How many contacts are charged: each person once."""
        return len(self.places) - len(self.repeats)


def _fields(contact: ContactIn) -> Mapping[str, str]:
    return {name: getattr(contact, name) for name in _FIELDS}


def _neighbours(contact: ContactIn) -> tuple[str, str]:
    domain = domain_in(contact.domain or contact.email.rpartition("@")[2])
    return (domain, "") if domain else ("", contact.company.casefold())
