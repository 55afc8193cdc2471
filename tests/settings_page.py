"""Writes docs/settings.md from the descriptions of `settings.Settings`: `python -m tests.settings_page`."""

from collections.abc import Iterator
from pathlib import Path

from annotated_types import Ge, Le
from pydantic.fields import FieldInfo

from settings import Settings

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
SECTIONS = {
    "database_url": "Servers and files",
    "dns_resolvers": "Name servers and mail servers",
    "verifier_url": "Without port 25",
    "providers_file": "Sources beyond mail servers",
    "chunk_size": "Runs",
    "hook_allow_private": "Hooks",
    "credits_per_contact": "Credits",
    "max_body_bytes": "Limits of the API",
}
"""The sections by their first setting. The order is that of the class."""

HEAD = """# Settings

Every setting is an environment variable. A value that is not allowed stops the process with a sentence that names the
setting; so does the old name of a renamed one. This page is generated: `python -m tests.settings_page` writes it.

The `growth` command also reads `GROWTH_HOME` (where `growth up` keeps its data; default `.growth`; or `--home`) and
`GROWTH_API_URL` with `GROWTH_API_KEY` (the API to call; when both are unset, the one that `growth up` started).
"""
TABLE = "| variable | default | allowed | meaning |\n| --- | --- | --- | --- |"


def page() -> str:
    """Render the page."""
    return "\n".join([HEAD.rstrip(), *_lines()]) + "\n"


def _lines() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        if section := SECTIONS.get(name):
            yield f"\n## {section}\n\n{TABLE}"
        yield f"| `{name.upper()}` | {_default(field)} | {_allowed(field)} | {field.description} |"


def _default(field: FieldInfo) -> str:
    value = field.default
    if value in ("", None, ()):
        return "–"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{','.join(map(str, value)) if isinstance(value, tuple) else value}`"


def _allowed(field: FieldInfo) -> str:
    """The bounds of a number; the stricter one if there are two."""
    at_least = [f"{each.ge:,}" for each in field.metadata if isinstance(each, Ge)]
    at_most = [each.le for each in field.metadata if isinstance(each, Le)]
    if not at_most:
        return f"{at_least[0]} or more" if at_least else ""
    return f"{at_least[0]} to {min(at_most):,}" if at_least else f"above 0, up to {min(at_most):,}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
