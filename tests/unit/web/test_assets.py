"""The page's files: all of them are packaged, and those of others are as others published them."""

import hashlib
import tomllib
from pathlib import Path

import pytest

from web.assets import asset_path, by_name
from web.rendering import environment

VENDORED = {
    "vendor/htmx-2.0.11.min.js": "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717",
    "vendor/htmx-ext-sse-2.2.4.min.js": "98a46496de0c3605fbffdce9167ba427bdd9553184f83f149c261891a92c0136",
    "vendor/idiomorph-ext-0.8.0.min.js": "5811b9a7eda14878b7dab4378bf60432e1bb6f11fcfb970cc26540642650181e",
}


def test_each_file_of_the_page_is_in_the_package(project_root: Path) -> None:
    settings = tomllib.loads((project_root / "pyproject.toml").read_text())["tool"]["setuptools"]
    packaged = {
        path
        for pattern in (*settings["package-data"]["*"], *settings["package-data"]["web"])
        for path in (project_root / "web").glob(pattern)
    }

    files = {
        path for path in (project_root / "web").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")
    }

    assert "web" in settings["packages"]
    assert files - packaged == set()


@pytest.mark.parametrize(("name", "sha256"), VENDORED.items())
def test_a_file_of_others_is_as_its_npm_package_has_it(name: str, sha256: str) -> None:
    assert hashlib.sha256(by_name()[name].content).hexdigest() == sha256


def test_a_file_has_another_name_when_it_changes() -> None:
    content = by_name()["style.css"].content

    assert asset_path("style.css") == f"/assets/style.{hashlib.sha256(content).hexdigest()[:12]}.css"
    assert by_name()["style.css"].media_type == "text/css"


def test_each_template_can_be_read(project_root: Path) -> None:
    for path in (project_root / "web" / "templates").iterdir():
        environment().get_template(path.name)
