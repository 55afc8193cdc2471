"""Recognises what columns mean: as the user says, by their headings, then by what their cells look like."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from pipeline.errors import UnusableFile
from pipeline.files.cells import is_address, is_domain, is_nothing, is_profile
from pipeline.files.headings import FIELDS, meaning_of, plain_heading

AT_LEAST = 0.5
"""The share of a column's filled cells that must look like a field for the column to be taken for it."""
NEARLY_ALL = 0.9
FEW = 3
_OF_OTHERS = ("owner", "besitzer", "proprietaire", "propietario", "proprietario", "eigenaar", "wlasciciel", "sales rep",
              "assistant", "manager", "created by", "referred by", "betreuer", "zustandig")  # fmt: skip
"""Words in headings of columns that hold somebody else's address."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column holds which field, by its index, and what the user should know about that."""

    header: Sequence[str]
    fields: Mapping[str, int]
    notices: Sequence[str] = field(default_factory=list)

    def heading(self, name: str) -> str:
        """The heading of a field's column, in the file's own words."""
        return self.header[self.fields[name]] or f"(column {self.fields[name] + 1}, no heading)"

    def described(self) -> Iterator[tuple[str, str]]:
        """Yield each field that was recognised, with its column's heading."""
        for name in FIELDS:
            if name in self.fields:
                yield name, self.heading(name)


@dataclass(slots=True)
class _Recognition:
    header: Sequence[str]
    sample: Sequence[Sequence[str]]
    fields: dict[str, int] = field(default_factory=dict)
    unused: set[str] = field(default_factory=set)
    notices: list[str] = field(default_factory=list)

    def cells(self, index: int) -> list[str]:
        return [row[index] for row in self.sample if index < len(row) and not is_nothing(row[index])]

    def share(self, index: int, looks_so: Callable[[str], bool]) -> float:
        cells = self.cells(index)
        return sum(map(looks_so, cells)) / len(cells) if cells else 0.0

    def holds_profiles(self, index: int) -> bool:
        return self.share(index, is_profile) > AT_LEAST

    def is_free(self, index: int) -> bool:
        return index not in self.fields.values()


def recognise(
    header: Sequence[str], sample: Sequence[Sequence[str]], chosen: Mapping[str, str] | None = None
) -> Columns:
    """Recognise the columns of a file. `chosen` maps fields to headings; an empty heading means no column.

    Raises `UnusableFile` for a heading that the file does not have.
    """
    known = _Recognition(header, sample)
    for name, heading in (chosen or {}).items():
        _take_chosen(known, name, heading)
    _take_by_heading(known)
    _take_by_cells(known, "email", is_address)
    _take_by_cells(known, "domain", _is_company_domain)
    _decide_names(known)
    return Columns(header, known.fields, known.notices)


def _take_chosen(known: _Recognition, name: str, heading: str) -> None:
    if name not in FIELDS:
        raise UnusableFile(f"There is no field {name!r}: a column can be mapped to {', '.join(FIELDS)}.")
    if not heading.strip():
        known.unused.add(name)
        return
    known.fields[name] = find_column(known.header, heading)


def find_column(header: Sequence[str], heading: str) -> int:
    """Return the index of a column by its heading. Raises `UnusableFile`, which names the nearest ones."""
    for same in (str.strip, plain_heading):
        titles = [same(title) for title in header]
        if same(heading) in titles:
            return titles.index(same(heading))
    raise UnusableFile(f"The file has no column {heading!r}. {nearest(header, [heading])}")


def nearest(header: Sequence[str], words: Sequence[str]) -> str:
    """A sentence that names the columns of the file that come near, or all of them."""
    titles = {plain_heading(title): title for title in header if title}
    near = dict.fromkeys(
        titles[match] for word in words for match in get_close_matches(plain_heading(word), titles, n=2, cutoff=0.5)
    )
    if near:
        return f"Nearest: {', '.join(near)}. All columns: {', '.join(title or '(no heading)' for title in header)}."
    return f"Its columns: {', '.join(title or '(no heading)' for title in header)}."


def _take_by_heading(known: _Recognition) -> None:
    meanings = [meaning_of(heading) for heading in known.header]
    for name in FIELDS:
        if name in known.fields or name in known.unused:
            continue
        columns = [index for index, meaning in enumerate(meanings) if meaning and meaning.field == name]
        ranked = sorted(columns, key=lambda index: (_rank(meanings[index]), -len(known.cells(index))))
        ranked.sort(key=lambda index: (not known.cells(index), name == "domain" and known.holds_profiles(index)))
        taken = next((index for index in ranked if known.is_free(index) and _fits(known, name, index)), None)
        if taken is not None:
            known.fields[name] = taken


def _rank(meaning: object) -> int:
    return meaning.rank if hasattr(meaning, "rank") else 0


def _fits(known: _Recognition, name: str, index: int) -> bool:
    """Whether the cells are not plainly something else than what the heading says."""
    cells, title = known.cells(index), known.header[index]
    if name == "domain" and known.share(index, is_profile) > NEARLY_ALL:
        known.notices.append(f"Column {title} holds pages of profiles or short links: it is not taken for a domain.")
        return False
    if name == "domain" and len(cells) >= FEW and not any("." in cell for cell in cells):
        known.notices.append(f"Column {title} holds no domains: it is not taken for one.")
        return False
    if name in ("first_name", "last_name", "full_name", "company") and known.share(index, is_address) > AT_LEAST:
        return False
    if name == "email" and len(cells) >= FEW and not any("@" in cell[1:] for cell in cells):
        known.notices.append(f"Column {title} holds no addresses: it is not taken for email.")
        return False
    return True


def _take_by_cells(known: _Recognition, name: str, looks_so: Callable[[str], bool]) -> None:
    if name in known.fields or name in known.unused:
        return
    free = [index for index in range(len(known.header)) if known.is_free(index) and not _is_of_others(known, index)]
    shares = {index: known.share(index, looks_so) for index in free}
    best = max(free, key=lambda index: (shares[index] >= AT_LEAST, shares[index] * len(known.cells(index))), default=-1)
    if best >= 0 and shares[best] >= AT_LEAST:
        known.fields[name] = best
        known.notices.append(f"Column {known.header[best]} is taken for {name}, since its cells look so.")


def _is_of_others(known: _Recognition, index: int) -> bool:
    """Whether it holds the same for everybody, or says that it is about somebody else."""
    cells = known.cells(index)
    heading = plain_heading(known.header[index])
    return any(word in heading for word in _OF_OTHERS) or (len(cells) >= FEW and len(set(cells)) == 1)


def _is_company_domain(cell: str) -> bool:
    return is_domain(cell) and not is_profile(cell) and "@" not in cell


def _decide_names(known: _Recognition) -> None:
    """`Name` beside `Vorname` is a family name; `Nom` or `Nombre` alone is a whole one."""
    fields, unused = known.fields, known.unused
    if "first_name" in fields and "last_name" not in fields | dict.fromkeys(unused) and "full_name" in fields:
        if not _holds_first_names(known):
            fields["last_name"] = fields.pop("full_name")
    elif "full_name" not in fields | dict.fromkeys(unused):
        alone = {"first_name", "last_name"} & fields.keys()
        if len(alone) == 1 and not alone & unused:
            fields["full_name"] = fields.pop(alone.pop())


def _holds_first_names(known: _Recognition) -> bool:
    first, full = known.fields["first_name"], known.fields["full_name"]
    pairs = [(row[first].strip().lower(), row[full].lower()) for row in known.sample if max(first, full) < len(row)]
    filled = [(one, whole) for one, whole in pairs if one]
    return sum(one in whole for one, whole in filled) * 2 > len(filled)
