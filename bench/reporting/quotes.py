"""Keeps what README and docs quote equal to what lies in `bench/results/`.

`python -m bench.reporting.quotes` writes it anew.

A quote stands between two comments, which Markdown does not show:

- `<!-- fairness.alone_ms.median -->137.8<!-- / -->`: a figure. `<!-- lookup.found_recall:.2f -->0.98<!-- / -->`: one
  with two decimals.
- `<!-- fairness table -->…<!-- / -->`: the table. Likewise `json`, the line of figures; `picture`; and `origin`, when
  and with what it was measured. A part of a result that is not there yet stays empty.
"""

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.reporting.machine import ROOT
from bench.reporting.picture import number
from bench.reporting.results import RESULTS

PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
QUOTE = re.compile(
    r"<!-- (?P<name>\w+)(?:\.(?P<path>[\w.]+)(?P<format>:\.\df)?| (?P<part>\w+)) -->.*?<!-- / -->", re.DOTALL
)

Result = Mapping[str, Any]


class NotMeasured(Exception):
    """Raised for a quote of a figure that is not in `bench/results/`."""


def main() -> None:
    """Write all quotes anew."""
    for page in PAGES:
        text = page.read_text()
        if (quoted := with_quotes(page, text)) != text:
            page.write_text(quoted)
            print(page.relative_to(ROOT))


def with_quotes(page: Path, text: str) -> str:
    """A page with each quote as the results have it. Raises `NotMeasured`."""
    return QUOTE.sub(lambda found: _quote(page, found), text)


def without_quotes(text: str) -> str:
    """A page without its quotes."""
    return QUOTE.sub("", text)


def _quote(page: Path, found: "re.Match[str]") -> str:
    opening = found[0].partition("-->")[0] + "-->"
    result = _result(found["name"])
    if found["path"]:
        quoted = _figure(result, found["path"], (found["format"] or "").removeprefix(":"))
    else:
        quoted = PARTS[found["part"]](page, result) if result else NOT_YET[found["part"]]
    return f"{opening}{quoted}<!-- / -->"


def _result(name: str) -> Result:
    """A result; empty if it is not there yet."""
    path = RESULTS / f"{name}.json"
    found: Result = json.loads(path.read_text()) if path.exists() else {}
    return found


def _figure(result: Result, path: str, form: str) -> str:
    value: Any = result.get("figures")
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            raise NotMeasured(f"No result in bench/results/ has the figure {path}: measure it, or quote another one.")
        value = value[key]
    return format(value, f",{form}") if isinstance(value, int | float) else str(value)


def _table(_page: Path, result: Result) -> str:
    cells: Mapping[str, Mapping[str, Mapping[str, float]]] = result["table"]
    columns = list(dict.fromkeys(column for row in cells.values() for column in row))
    lines = [f"| | {' | '.join(columns)} |", f"| --- {'| ---: ' * len(columns)}|"]
    for row, values in cells.items():
        lines.append(f"| {row} | {' | '.join(_cell(values.get(column)) for column in columns)} |")
    return "\n\n" + "\n".join(lines) + "\n\n"


def _cell(spread: Mapping[str, float] | None) -> str:
    """A cell's median, lowest and highest value, as far as the result has them."""
    if spread is None:
        return ""
    middle = number(spread["median"])
    if "min" not in spread:
        return f"{middle} (–{number(spread['max'])})" if "max" in spread else middle
    return middle if spread["n"] == 1 else f"{middle} ({number(spread['min'])}–{number(spread['max'])})"


def _json(_page: Path, result: Result) -> str:
    return f"\n\n```json\n{json.dumps(result['figures'], ensure_ascii=False)}\n```\n\n"


def _picture(page: Path, result: Result) -> str:
    path = os.path.relpath(RESULTS / f"{result['benchmark']}.svg", page.parent)
    return f"\n\n![{result['title']}]({path})\n\n"


def _origin(_page: Path, result: Result) -> str:
    machine = result["machine"]
    cpu = f"{machine['cpu']}, " if machine.get("cpu") else ""
    return f"Measured on {result['measured_on']} at {result['commit']}, {cpu}{machine['cores']} cores."


PARTS: Mapping[str, Callable[[Path, Result], str]] = {
    "table": _table,
    "json": _json,
    "picture": _picture,
    "origin": _origin,
}
NOT_YET = {"table": "", "json": "", "picture": "", "origin": "Not measured yet."}


if __name__ == "__main__":
    main()
