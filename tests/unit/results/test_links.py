"""Links to files: signed for one file, until a time."""

import time
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest

from models.artifact import Artifact
from models.schema import new_id
from pipeline.results.links import Links, is_valid

RUN_ID = new_id()


def artifact(run_id: UUID = RUN_ID, asset_id: str = "contacts_csv", key: bytes = b"k" * 32) -> Artifact:
    return Artifact(run_id=run_id, asset_id=asset_id, signing_key=key)


def link(hours: float = 24) -> tuple[int, str]:
    query = parse_qs(urlsplit(Links("https://api.example.test", hours).to(artifact())).query)
    return int(query["expires"][0]), query["signature"][0]


def test_a_link_leads_to_its_file_and_is_valid_for_the_hours_of_the_settings() -> None:
    url = Links("https://api.example.test", hours=24).to(artifact())
    expires, signature = link()

    assert url.startswith(f"https://api.example.test/api/v1/growth/runs/{RUN_ID}/exports/contacts_csv?expires=")
    assert is_valid(artifact(), expires, signature)
    assert 24 * 3600 < expires - time.time() <= 25 * 3600


@pytest.mark.parametrize(
    "other", [{"run_id": new_id()}, {"asset_id": "contacts_json"}, {"key": b"j" * 32}], ids=["run", "asset", "key"]
)
def test_a_link_is_valid_for_no_other_file_and_not_after_the_file_is_written_again(other: dict[str, Any]) -> None:
    assert not is_valid(artifact(**other), *link())


def test_nobody_can_make_a_link_last_longer() -> None:
    expires, signature = link()

    assert not is_valid(artifact(), expires + 3600, signature)
    assert not is_valid(artifact(), expires, "")
    assert not is_valid(artifact(), expires, "ä")


def test_a_link_ends() -> None:
    assert not is_valid(artifact(), *link(hours=-2))
