"""The configuration that every provider has, however it is asked."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

OWN_WORDS = ("input", "known", "pattern", "permutation", "inferred", "directory")
"""The names of our own sources, which no provider may have."""


class ProviderTerms(BaseModel):
    """The terms of one provider. Times are in seconds; rates are per worker process."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
    price: Decimal = Field(ge=0, max_digits=12, decimal_places=4)
    charges_not_found: bool = True
    repeats_are_free: bool = False
    asks_again_in_doubt: bool | None = None
    timeout: float = Field(10.0, gt=0, le=60)
    at_once: int = Field(10, ge=1, le=1000)
    per_second: float = Field(10.0, gt=0, le=10_000)

    @field_validator("name")
    @classmethod
    def _is_not_ours(cls, name: str) -> str:
        if name in OWN_WORDS:
            raise ValueError(f"the name {name} is a source of our own: choose another")
        return name

    @property
    def is_idempotent(self) -> bool:
        """Whether repeating a question is free."""
        return self.repeats_are_free

    @property
    def may_ask_again(self) -> bool:
        """Whether to repeat a question that may have been charged already."""
        return self.is_idempotent if self.asks_again_in_doubt is None else self.asks_again_in_doubt


class PluginTerms(ProviderTerms):
    """The terms of one plug-in; `options` are passed to it."""

    plugin: str
    options: Mapping[str, Any] = {}
