"""What a file of providers may contain, and the messages about one that can not be used."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import SourcesMisconfigured
from pipeline.lookup.providers import catalogue
from pipeline.lookup.providers.catalogue import Catalogue, plugins, presets, read_catalogue
from pipeline.lookup.providers.http_terms import HttpTerms
from pipeline.lookup.providers.source import Found, Person, Reply

GOOD = '[[provider]]\nname = "p"\nurl = "https://api.example/find"\nprice = 0.5\n'


def read(tmp_path: Path, text: str, **environment: str) -> Catalogue:
    path = tmp_path / "providers.toml"
    path.write_text(text)
    opened = read_catalogue(path, environment)
    for provider in opened.providers:
        asyncio.run(provider.close())
    return opened


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[[provider", "is not a TOML file"),
        ('[[provider]]\nname = "p"\nurl = "https://api.example/"', "price: Field required"),
        (GOOD + 'colour = "red"', "colour: Extra inputs are not permitted"),
        (GOOD.replace('"p"', '"pattern"'), "choose another"),
        (GOOD.replace('"p"', '"P p"'), "name: String should match"),
        (GOOD.replace("https", "http"), "must begin with https://"),
        (GOOD.replace("api.example", "{domain}"), "must name its host in full"),
        (GOOD.replace("find", "find?key=${KEY}"), "keys belong into headers"),
        (GOOD.replace("https://", "https://user:word@"), "keys belong into headers"),
        (GOOD + 'query = { n = "{nickname}" }', "{nickname} is no field of a person"),
        (GOOD + 'headers = { Authorization = "Bearer ${KEY}" }', "needs the environment variable KEY"),
        (GOOD + GOOD, "two providers have the same name"),
        ('[[provider]]\npreset = "fisher"\nname = "p"\nprice = 1', "there is no preset fisher: choose from hunter"),
        ('[[provider]]\nplugin = "fisher"\nname = "p"\nprice = 1', "there is no plug-in fisher"),
        ("[budget]\nper_run = -1", "budget.per_run"),
    ],
)
def test_a_file_that_can_not_be_used_says_what_to_correct(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(SourcesMisconfigured) as error:
        read(tmp_path, text)

    assert sentence in str(error.value)
    assert "providers.toml" in str(error.value)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(SourcesMisconfigured, match="can't be read"):
        read_catalogue(tmp_path / "nothing.toml", {})


def test_providers_are_asked_in_the_order_of_the_file(tmp_path: Path) -> None:
    opened = read(tmp_path, GOOD.replace('"p"', '"dear"') + GOOD.replace('"p"', '"cheap"'))

    assert [provider.name for provider in opened.providers] == ["dear", "cheap"]


def test_plain_http_is_for_loopback_only(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD.replace("https://api.example", "http://127.0.0.1:8000")).providers


def test_the_hunter_preset_needs_a_name_a_price_and_a_key(tmp_path: Path) -> None:
    opened = read(tmp_path, '[[provider]]\nname = "h"\npreset = "hunter"\nprice = 0.02', HUNTER_API_KEY="k")

    assert [provider.name for provider in opened.providers] == ["h"]
    assert presets() == ["hunter"]


@pytest.mark.parametrize(
    ("status", "meaning"),
    [(200, "found"), (403, "retry"), (429, "out_of_credit"), (401, "key_rejected"), (451, "not_found"), (500, "retry")],
)
def test_the_hunter_preset_reads_hunters_statuses_as_hunter_documents_them(status: int, meaning: str) -> None:
    hunter = HttpTerms.model_validate({**catalogue.preset("hunter"), "name": "h", "price": 1})

    assert hunter.answers.meaning(status, None) == meaning


class Plugged:
    """A source that somebody else wrote."""

    def __init__(self, options: Mapping[str, Any], _environment: Mapping[str, str]) -> None:
        self.domain = options["domain"]

    def knows_about(self, person: Person) -> bool:
        return bool(person.name)

    async def find(self, person: Person, key: str) -> Reply:
        return Found(f"{person.last_name}@{self.domain}", evidence={"key": key})

    async def close(self) -> None:
        pass


@pytest.fixture
def installed_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package's metadata, as pip writes it."""
    metadata = tmp_path / "plugged-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[growth.sources]\nplugged = {__name__}:Plugged\n")
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("installed_plugin")
def test_a_plug_in_is_used_if_the_file_names_it_and_not_by_being_installed(tmp_path: Path) -> None:
    named = '[[provider]]\nname = "p"\nplugin = "plugged"\nprice = 0\noptions = { domain = "acme.test" }'

    assert "plugged" in plugins()
    assert read(tmp_path, "").providers == ()
    assert [provider.name for provider in read(tmp_path, named).providers] == ["p"]
