"""The shapes of what is inside a run's state, for the OpenAPI document.

A state is built as plain JSON, and never checked against these: they say what a client can count on. More may be added.
"""

from types import GenericAlias
from typing import Any

from pydantic import ConfigDict, GetJsonSchemaHandler, TypeAdapter, with_config
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from typing_extensions import TypedDict  # Pydantic needs this one before Python 3.12

OPEN = ConfigDict(extra="allow")


class DocumentedAs:
    """Annotates a field whose JSON schema is that of another type."""

    def __init__(self, shape: Any) -> None:
        self._shape = shape

    def __get_pydantic_json_schema__(self, _own: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Pydantic asks for the schema here."""
        # Within a list a shape keeps its name; alone it would be written out.
        several: Any = GenericAlias(list, (self._shape,))
        items: JsonSchemaValue = handler(TypeAdapter(several).core_schema)["items"]
        return items


@with_config(OPEN)
class ResultContact(TypedDict, total=False):
    """A contact and what was found, with its own further columns. Ours are `growth_…` where it has one of that name."""

    first_name: str
    last_name: str
    full_name: str
    company: str
    domain: str
    input_email: Any
    email: Any
    email_status: Any
    email_reason: Any
    email_score: Any
    email_source: Any


@with_config(OPEN)
class FileHandle(TypedDict, total=False):
    """A file of a run. Artifacts have `label` and `kind` as well, and those that are no files have nothing else."""

    asset_id: str
    label: str
    kind: str
    format: str
    mime_type: str
    rows: int
    bytes: int
    sha256: str
    expires_at: str
    download_url: str


@with_config(OPEN)
class DeliveredCounts(TypedDict, total=False):
    """Contacts that have an address, and those of them whose address is valid."""

    delivered_contacts: int
    verified_emails: int


@with_config(OPEN)
class Pricing(TypedDict, total=False):
    """What was charged at the start, what was given back at the end, and the difference."""

    charged_credits: int
    rebate_credits: int
    net_credits: int


@with_config(OPEN)
class Preview(TypedDict, total=False):
    """What a run delivered, by verdict, and its price. Empty until it is compiled."""

    delivered_counts: DeliveredCounts
    verdicts: dict[str, int]
    pricing: Pricing


@with_config(OPEN)
class DataSourceMix(TypedDict, total=False):
    """Where the delivered addresses come from. Empty until the run is compiled."""

    enriched: int
    by_stage: dict[str, int]
    by_source: dict[str, int]


@with_config(OPEN)
class Gap(TypedDict, total=False):
    """A reason: how many contacts it concerns, what it means, and what to do."""

    count: int
    explanation: str
    advice: str


@with_config(OPEN)
class GapReport(TypedDict, total=False):
    """Why contacts have no address, and why addresses are not verified. Empty until the run is compiled."""

    unresolved: int
    reasons: dict[str, Gap]
    unverified: int
    unverified_reasons: dict[str, Gap]
