"""One word for one idea: a chunk is leased and released, in the timeline and in the name of a step too."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

KINDS = {"chunk_claimed": "chunk_leased", "chunk_handed_back": "chunk_released"}
STEPS = {"claim": "lease"}


def upgrade() -> None:
    _rename(KINDS, STEPS)


def downgrade() -> None:
    _rename({new: old for old, new in KINDS.items()}, {new: old for old, new in STEPS.items()})


def _rename(kinds: dict[str, str], steps: dict[str, str]) -> None:
    for old, new in kinds.items():
        op.execute(sa.text("UPDATE run_events SET kind = :new WHERE kind = :old").bindparams(old=old, new=new))
    for old, new in steps.items():
        for table, column in (("run_events", "detail"), ("runs", "trouble")):
            op.execute(
                sa.text(
                    f"UPDATE {table} SET {column} = {column} || jsonb_build_object('step', CAST(:new AS text)) "  # noqa: S608
                    f"WHERE {column} ->> 'step' = :old"
                ).bindparams(old=old, new=new)
            )
