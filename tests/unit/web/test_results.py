"""Reasons and providers: the frequent ones are shown, the rare ones folded together."""

import pytest

from models.artifact import EXPORT, Artifact
from web.views.results import MOST_SHOWN, Gap, folded, without_needless
from web.views.verdicts import MOST_PROVIDERS, OTHERS, by_provider, name_of


def artifact(asset_id: str, kind: str, sha256: str | None, rows: int = 5) -> Artifact:
    return Artifact(asset_id=asset_id, kind=kind, sha256=sha256, rows=rows)


def test_each_file_is_listed_once_and_none_without_rejected_rows() -> None:
    export, everything = artifact("contacts_csv", EXPORT, "a"), artifact("all_contacts", "contacts", "a")
    verified, none_yet = artifact("verified_contacts", "contacts", "b", 0), artifact("gap_report", "report", None)
    rejected, none = artifact("rejected_rows", "report", "c"), artifact("rejected_rows", "report", "d", 0)

    shown = without_needless([export, everything, verified, none_yet, rejected, none])

    assert [each.asset_id for each in shown] == ["contacts_csv", "verified_contacts", "rejected_rows"]
    assert without_needless([everything]) == [everything], "until its export is written again"


def gaps(count: int) -> list[Gap]:
    return [Gap(f"reason_{number}", 100 - number, "", "") for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, MOST_SHOWN, MOST_SHOWN + 1])
def test_few_reasons_are_all_shown(count: int) -> None:
    assert folded(gaps(count)) == (gaps(count), ())


def test_of_many_reasons_the_rare_ones_are_folded() -> None:
    frequent, rare = folded(gaps(MOST_SHOWN + 2))

    assert [*frequent, *rare] == gaps(MOST_SHOWN + 2)
    assert len(frequent) == MOST_SHOWN


def test_providers_come_by_their_number_of_addresses_and_the_last_ones_together() -> None:
    found = {f"p{number:02}": {"valid": 50 - number, "risky": 1} for number in range(MOST_PROVIDERS + 3)}

    rows = by_provider(found)

    assert [row.whole for row in rows[:-1]] == sorted((row.whole for row in rows[:-1]), reverse=True)
    assert (rows[-1].name, len(rows)) == (OTHERS, MOST_PROVIDERS + 1)
    assert sum(row.whole for row in rows) == sum(sum(counts.values()) for counts in found.values())


def test_the_parts_of_a_bar_follow_each_other() -> None:
    [row] = by_provider({"google": {"unknown": 2, "valid": 5, "risky": 3}})

    assert [(part.verdict, part.before, part.count) for part in row.parts] == [
        ("valid", 0, 5), ("risky", 5, 3), ("invalid", 8, 0), ("unknown", 8, 2)
    ]  # fmt: skip


@pytest.mark.parametrize(("provider", "name"), [("microsoft365", "Microsoft 365"), ("proofpoint", "Proofpoint")])
def test_a_provider_is_called_as_it_calls_itself(provider: str, name: str) -> None:
    assert name_of(provider) == name
