"""What a cell holds: an address, a domain, a page of a profile."""

import re
from collections.abc import Iterable

from pipeline.mail.address.shared_hosts import is_shared_host
from pipeline.mail.address.syntax import LONGEST_TEXT, Address, normalise_domain, parse_address

_LIKE_DOMAIN = re.compile(r"(?:https?:?/+)?(?:[^\s@/]+@)?[\w-]+(?:\.[\w-]+)+\.?(?::\d+)?(?:[/?#]\S*)?", re.IGNORECASE)
_LETTERS_AT_END = re.compile(r"\.[^\W\d_][\w-]+\.?(?::\d+)?(?:[/?#]|$)")


_BETWEEN = r"\s,;:|<>()\[\]\"'"
_ADDRESS_INSIDE = re.compile(rf"(?<![^{_BETWEEN}])[^{_BETWEEN}@]++@[^{_BETWEEN}@]++")
_NOTHING = frozenset(
    {
        "", "-", "--", "–", "—", "n/a", "n.a.", "none", "null", "nan", "unknown", "?", "(none)", "(not set)", "(blank)",
        "#n/a", "#ref!", "#value!", "#name?", "#null!", "#div/0!", "#num!", "#error!", "#nv", "#wert!", "#bezug!",
    }
)  # fmt: skip
"""What people and programs write where there is nothing; Excel's errors, too, also in German."""
_LONGEST_NOTHING = 20
_WORDS_FOR_NOTHING = _NOTHING - {""}


def is_nothing(cell: str) -> bool:
    """Whether a cell is empty, or says so in a word."""
    return len(cell) < _LONGEST_NOTHING and cell.strip().lower() in _NOTHING


def holds_words_for_nothing(cells: Iterable[str]) -> bool:
    """Whether any of these cells, which have no spaces around them, says in a word that it is empty."""
    return not _WORDS_FOR_NOTHING.isdisjoint(map(str.lower, cells))


def is_address(cell: str) -> bool:
    """Whether a cell is an e-mail address; a handle such as `@grace` is none."""
    return "@" in cell[1:] and isinstance(parse_address(cell), Address)


def first_address(cell: str) -> str:
    """The first address in a cell that has several, or one within a link; the cell as it is if that is an address."""
    if "@" not in cell or isinstance(parse_address(cell), Address):
        return cell
    return next(filter(is_address, _ADDRESS_INSIDE.findall(cell[:LONGEST_TEXT])), cell)


def is_domain(cell: str) -> bool:
    """Whether a cell is a domain name or a web address, and not a text that has a full stop in it."""
    text = cell.strip()
    return bool(_LIKE_DOMAIN.fullmatch(text) and _LETTERS_AT_END.search(text)) and normalise_domain(text) is not None


def is_profile(cell: str) -> bool:
    """Whether a cell is a page at a host of profiles or short links."""
    domain = normalise_domain(cell) if "." in cell else None
    return domain is not None and is_shared_host(domain)
