"""The rules for runs that are made in SQL, as the engine publishes them."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.schema import Base


class IntakeRules(Base):
    """One row: presets, formats, bounds and prices of this release and this operator.

    The function `growth_create_run` applies them. `pipeline.runs.intake_rules` writes them.
    """

    __tablename__ = "intake_rules"
    __table_args__ = (CheckConstraint("only_row", name="only_row"),)

    only_row: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    rules: Mapped[dict[str, Any]]
    published_at: Mapped[datetime] = mapped_column(server_default=func.now())
