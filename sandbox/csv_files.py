"""Writes contacts as a client uploads them, and the truth about them, with which the results are compared."""

import csv
from collections.abc import Iterable
from contextlib import nullcontext
from os import PathLike
from pathlib import Path
from typing import TextIO

from sandbox.people import Person

CONTACT_COLUMNS = ("first_name", "last_name", "company", "domain", "crm_id")
TRUTH_COLUMNS = ("crm_id", "domain", "email", "mailbox", "findable", "verdict", "reason_not_found")

Destination = str | PathLike[str] | TextIO
"""A path to create or replace, or a text file open for writing (opened with `newline=""`)."""


def write_contacts_csv(people: Iterable[Person], destination: Destination) -> None:
    """Write the contacts, without their addresses, one a row under a header of `CONTACT_COLUMNS`."""
    _write(people, CONTACT_COLUMNS, destination)


def write_truth_csv(people: Iterable[Person], destination: Destination) -> None:
    """Write the truth about each contact, to be joined with the contacts by `crm_id`. None is an empty cell."""
    _write(people, TRUTH_COLUMNS, destination)


def _write(people: Iterable[Person], columns: tuple[str, ...], destination: Destination) -> None:
    with _opened(destination) as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([getattr(person, column) for column in columns] for person in people)


def _opened(destination: Destination) -> TextIO | nullcontext[TextIO]:
    if isinstance(destination, (str, PathLike)):
        return Path(destination).open("w", newline="", encoding="utf-8")
    return nullcontext(destination)
