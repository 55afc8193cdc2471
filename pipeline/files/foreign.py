"""Refuses files that are no tables, told by how they begin, whatever their names say, and says what to do instead."""

from pipeline.errors import UnusableFile

_EXPORT = "export the contacts as CSV"
_OPEN = "open it in a spreadsheet and save it as XLSX or CSV"
_UNPACK = "unpack it"

_BYTES = {
    b"\xff\xd8\xff": ("a picture", _EXPORT),
    b"\x89PNG": ("a picture", _EXPORT),
    b"GIF8": ("a picture", _EXPORT),
    b"%PDF": ("a PDF", _EXPORT),
    b"{\\rtf": ("a document (RTF)", _EXPORT),
    b"BZh": ("an archive", _UNPACK),
    b"\xfd7zXZ": ("an archive", _UNPACK),
    b"7z\xbc\xaf": ("an archive", _UNPACK),
    b"Rar!": ("an archive", _UNPACK),
    b"SQLite format 3\0": ("a database", _EXPORT),
}
_TEXTS = {
    "<!doctype html": ("a web page (HTML)", _OPEN),
    "<html": ("a web page (HTML)", _OPEN),
    "<table": ("a web page (HTML)", _OPEN),
    "<?xml": ("XML", _OPEN),
    "begin:vcard": ("address cards (vCard)", _EXPORT),
}
LONGEST = max(map(len, _BYTES))


def refuse_bytes(start: bytes, name: str) -> None:
    """Raise `UnusableFile` if a file that begins so is no table."""
    _refuse(next((kind for mark, kind in _BYTES.items() if start.startswith(mark)), None), name)


def refuse_text(start: str, name: str) -> None:
    """Raise `UnusableFile` if a text that begins so is no table."""
    text = start[:200].lstrip("\ufeff \r\n\t").lower()
    _refuse(next((kind for mark, kind in _TEXTS.items() if text.startswith(mark)), None), name)


def _refuse(kind: tuple[str, str] | None, name: str) -> None:
    if kind:
        what, advice = kind
        raise UnusableFile(f"{name} is not a table but {what}: {advice}.")
