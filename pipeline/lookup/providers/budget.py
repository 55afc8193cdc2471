"""What may be spent on paid look-ups."""

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Amount = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=4)]


class Budget(BaseModel):
    """The most that may be spent, in the currency of the prices; None is no limit. A day is one of UTC."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    per_contact: Amount | None = None
    per_run: Amount | None = None
    per_account_day: Amount | None = None
