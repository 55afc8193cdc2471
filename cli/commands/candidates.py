"""Shows the addresses that a person may have at a domain, without asking any server."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from cli.client import ApiError
from cli.terminal import write_json
from pipeline.contacts import PatternCount
from pipeline.lookup.names.parse import parse_name
from pipeline.lookup.patterns.candidates import Candidate, candidates
from pipeline.lookup.patterns.patterns import PATTERNS
from pipeline.lookup.patterns.priors import Size
from pipeline.mail.address.syntax import normalise_domain


def rank_candidates(name: str, domain: str, known: Sequence[str], size: Size, limit: int) -> list[dict[str, object]]:
    """Rank a person's likely addresses. Raises `ApiError`, which says what to change."""
    parsed, host = parse_name(full_name=name), normalise_domain(domain)
    if parsed is None:
        raise ApiError(f"{name!r} has no letters to make an address of.")
    if host is None:
        raise ApiError(f"{domain!r} is not a domain that can have mail.")
    ranked = candidates(parsed, [_count(each) for each in known], limit, domain=host, size=size)
    return [_row(candidate, host) for candidate in ranked]


def print_candidates(console: Console, ranked: Sequence[dict[str, object]], *, as_json: bool) -> None:
    """Print the ranked list as a table or as JSON."""
    if as_json:
        write_json(ranked)
        return
    table = Table("chance", "address", "pattern", box=None, pad_edge=False)
    for row in ranked:
        table.add_row(f"{row['probability']:6.1%}", str(row["email"]), str(row["pattern"]))
    console.print(table)


def _row(candidate: Candidate, domain: str) -> dict[str, object]:
    return {
        "email": f"{candidate.local_part}@{domain}",
        "local_part": candidate.local_part,
        "pattern": candidate.pattern,
        "probability": round(candidate.probability, 4),
    }


def _count(text: str) -> PatternCount:
    pattern, _, count = text.partition("=")
    if pattern not in PATTERNS or not (count or "1").isdecimal():
        raise ApiError(f"{text!r} is not of the form pattern=count, with one of: {', '.join(PATTERNS)}.")
    return PatternCount(pattern, int(count or 1))
