"""Publishes the rules for runs that other programs create in SQL (docs/decisions/0050-runs-made-in-sql.md).

Those programs have none of our code. What a plan may be, and what it costs, is written down for them in the database.
"""

from collections.abc import Mapping
from typing import Any, get_args

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models import bounds
from models.intake_rules import IntakeRules
from models.run import PRESETS
from models.wire import ContactField, Output, needs_of
from pipeline.credits import RateCard
from pipeline.results.formats import FORMATS
from pipeline.results.xlsx import MOST_ROWS
from pipeline.stages import stages_of

ADDRESSES = ("domain", "email")


def rules_of(rates: RateCard, max_contacts: int, *, knows_companies: bool) -> dict[str, Any]:
    """What the function `growth_create_run` has to know."""
    defaults = Output()
    return {
        "presets": {
            name: {"stages": list(stages_of(name)), "needs": needs_of(name, knows_companies=knows_companies)}
            for name in PRESETS
        },
        "formats": {name: MOST_ROWS if name == "xlsx" else 2**31 - 1 for name in FORMATS},
        "default_formats": list(defaults.export_formats),
        "default_fields": list(defaults.required_fields),
        "max_contacts": max_contacts,
        "preview_rows": bounds.PREVIEW_ROWS.most,
        "key_chars": bounds.IDEMPOTENCY_KEY.most,
        "rates": {
            "per_contact": rates.per_contact,
            "rebate_per_unresolved": rates.rebate_per_unresolved,
            "rebate_per_unverified": rates.rebate_per_unverified,
        },
        "bounds": {
            "fields": {
                name: (bounds.ADDRESS if name in ADDRESSES else bounds.NAME).most for name in get_args(ContactField)
            },
            "columns": bounds.COLUMNS_OF_CONTACT.most,
            "columns_of_run": bounds.COLUMNS_OF_RUN.most,
            "column_name": bounds.COLUMN_NAME.most,
            "contact_chars": bounds.CONTACT_CHARS.most,
            "chars": bounds.COLUMN_CHARS.most,
            "depth": bounds.DEPTH.most,
            "digits": bounds.DIGITS.most,
            "values": bounds.VALUES.most,
        },
    }


def publish(session: Session, rules: Mapping[str, Any]) -> None:
    """Replace the rules that are published, if they are others."""
    new = insert(IntakeRules).values(rules=dict(rules))
    session.execute(
        new.on_conflict_do_update(
            index_elements=["only_row"],
            set_={"rules": new.excluded.rules, "published_at": func.now()},
            where=IntakeRules.rules != new.excluded.rules,
        )
    )
