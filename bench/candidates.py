"""Measures the candidates for a table of invented people: right ones among the first eight, by culture, and speed."""

import time
from collections import Counter
from pathlib import Path

from bench.reporting.results import publish
from bench.reporting.turns import Table
from pipeline.lookup.names.parse import parse_name
from pipeline.lookup.patterns.candidates import candidates

TABLE = Path(__file__).parent.parent / "tests/unit/lookup/world_names.tsv"
ROUNDS = 10


def main() -> None:
    """Print a row for each culture, and one line of JSON at the end."""
    table = [line.split("\t") for line in TABLE.read_text("utf-8").splitlines() if not line.startswith("#")]
    expected_count: Counter[str] = Counter()
    ranked_first: Counter[str] = Counter()
    within_eight: Counter[str] = Counter()
    for culture, full_name, expected in table:
        ranked = _rank(full_name)[:8]
        expected_count[culture] += len(expected.split())
        ranked_first[culture] += ranked[:1] == expected.split()[:1]
        within_eight[culture] += len(set(expected.split()) & set(ranked))
    people = Counter(culture for culture, _, _ in table)
    result = Table()
    for culture in people:
        result.add(culture, "people", [people[culture]])
        result.add(culture, "right one first: %", [round(100 * ranked_first[culture] / people[culture])])
        result.add(culture, "within eight", [within_eight[culture]])
        result.add(culture, "of expected", [expected_count[culture]])
    started = time.process_time()
    for _ in range(ROUNDS):
        for _, full_name, _ in table:
            _rank(full_name)
    figures = {
        "people": len(table),
        "within_eight": round(within_eight.total() / expected_count.total(), 4),
        "names_per_second": round(ROUNDS * len(table) / (time.process_time() - started)),
    }
    publish("candidates", "Candidates for the names of the world", result, figures)


def _rank(full_name: str) -> list[str]:
    name = parse_name(full_name=full_name)
    return [candidate.local_part for candidate in candidates(name)] if name else []


if __name__ == "__main__":
    main()
