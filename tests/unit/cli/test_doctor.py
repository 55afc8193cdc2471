"""The findings of `growth doctor` without any setting."""

from pathlib import Path

from cli.doctor.command import diagnose
from cli.doctor.finding import Mark
from settings import Settings


def test_what_was_not_tried_is_neither_fine_nor_wrong(tmp_path: Path) -> None:
    found = {finding.what: finding for finding in diagnose(Settings(export_dir=tmp_path), tmp_path, None)}

    assert {what for what, finding in found.items() if finding.mark is Mark.NOT_TRIED} == {
        "Postgres", "Redis", "Broker", "Mail",
    }  # fmt: skip
    assert found["Mail"].sentence.startswith("not tried: give --mail-domain")
    assert not found["Mail"].is_fine
