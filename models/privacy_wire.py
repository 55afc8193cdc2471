"""Suppression lists and erasures, as clients send and see them."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, model_validator

from models import bounds
from models.wire import NAMED, Text200, Text320, any_of


class SuppressionEntries(BaseModel):
    """Addresses, domains, or SHA-256 hashes of addresses or domains in hexadecimal, in any mixture."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    entries: list[Text320] = Field(min_length=1, max_length=bounds.ENTRIES.most)


class Changed(BaseModel):
    """How many of the entries sent changed the list, and how many it has now."""

    changed: int
    unchanged: int
    total: int


class Checked(BaseModel):
    """For each entry sent, in its order, whether it is suppressed."""

    suppressed: list[bool]


class SuppressionShown(BaseModel):
    """An entry as it is stored: it does not show whom it is about."""

    kind: str
    sha256: Annotated[str, Field(min_length=64, max_length=64)]
    created_at: datetime


class SuppressionPage(BaseModel):
    """A page of the list. `next` is the `after` of the next page, if there is one."""

    entries: list[SuppressionShown]
    total: int
    next: str | None


def _trimmed(text: str) -> str:
    return text.strip()


class PersonToErase(BaseModel):
    """Whom to erase: by an address, by a name and a domain, or by both."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, json_schema_extra=any_of(("email",), *NAMED)
    )

    email: Annotated[Text320, AfterValidator(_trimmed)] = ""
    first_name: Text200 = ""
    last_name: Text200 = ""
    full_name: Text200 = ""
    domain: Annotated[Text320, AfterValidator(_trimmed)] = ""

    @model_validator(mode="after")
    def _can_be_told_apart(self) -> Self:
        named = self.full_name.strip() or (self.first_name.strip() and self.last_name.strip())
        if not self.email and not (named and self.domain):
            raise ValueError("give an email, or a name (full_name, or first_name and last_name) with a domain")
        return self


class ErasureRequest(BaseModel):
    """The body of `POST /api/v1/growth/erasures`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    people: list[PersonToErase] = Field(min_length=1, max_length=bounds.PEOPLE.most)
    suppress: StrictBool = True


class ErasureDone(BaseModel):
    """What an erasure removed: ids and counts."""

    erasure_id: UUID
    run_ids: list[UUID]
    contacts: int
    verdicts: int
    lookups: int
    provider_answers: int
    suppressed: int
