"""README and docs quote only what lies in `bench/results/`, and as it lies there."""

import json
import re
from pathlib import Path

import pytest

from bench import quotes
from bench.quotes import NotMeasured, with_quotes, without_quotes

SPEED = re.compile(r"\d (?:contacts/s|addresses/s|rows/s)|\d (?:contacts|addresses|names|rows) (?:a|per) second")
"""A speed: such a figure must be a quote."""


@pytest.mark.parametrize("page", quotes.PAGES, ids=lambda page: page.name)
def test_a_page_quotes_figures_as_they_were_measured(page: Path) -> None:
    text = page.read_text()

    assert with_quotes(page, text) == text, "run `python -m bench.quotes`"


@pytest.mark.parametrize("page", [page for page in quotes.PAGES if "decisions" not in page.parts], ids=lambda p: p.name)
def test_a_page_has_no_speed_and_no_line_of_json_from_nowhere(page: Path) -> None:
    text = without_quotes(page.read_text())

    assert SPEED.findall(text) == []
    assert page.name != "performance.md" or "```json" not in text


def test_a_quote_is_written_anew_from_the_result() -> None:
    measured = json.loads((quotes.RESULTS / "fairness.json").read_text())["figures"]["alone_ms"]["median"]

    text = with_quotes(quotes.ROOT / "docs/page.md", "It takes <!-- fairness.alone_ms.median -->0<!-- / --> ms.")

    assert text == f"It takes <!-- fairness.alone_ms.median -->{measured:,}<!-- / --> ms."


@pytest.mark.parametrize("quote", ["<!-- nothing.at_all --><!-- / -->", "<!-- fairness.no_such_figure --><!-- / -->"])
def test_a_quote_of_what_was_not_measured_is_an_error(quote: str) -> None:
    with pytest.raises(NotMeasured):
        with_quotes(quotes.ROOT / "docs/page.md", quote)
