"""Measures the candidates for a table of invented people: right ones among the first eight, by culture, and speed."""

import json
import time
from collections import Counter
from pathlib import Path

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
    print(f"{'culture':16} people  first  expected within eight")
    for culture in people:
        print(
            f"{culture:16} {people[culture]:6}  {ranked_first[culture] / people[culture]:5.0%}"
            f"  {within_eight[culture]} of {expected_count[culture]}"
        )
    started = time.process_time()
    for _ in range(ROUNDS):
        for _, full_name, _ in table:
            _rank(full_name)
    print(
        json.dumps(
            {
                "people": len(table),
                "within_eight": round(within_eight.total() / expected_count.total(), 4),
                "names_per_second": round(ROUNDS * len(table) / (time.process_time() - started)),
            }
        )
    )


def _rank(full_name: str) -> list[str]:
    name = parse_name(full_name=full_name)
    return [candidate.local_part for candidate in candidates(name)] if name else []


if __name__ == "__main__":
    main()
