"""A file is read in the encoding in which its names are names; where two are plausible it is refused."""

import codecs
from pathlib import Path

import pytest

from pipeline.errors import UnusableFile
from pipeline.files.table import open_table

WESTERN = ["Müller", "François", "Hélène", "Björn", "García", "Gonçalves", "Jørgensen"]
CENTRAL = ["Dvořák", "Jiří", "Łukasz", "Zieliński", "Kateřina", "Małgorzata"]
RUSSIAN = ["Иван", "Петров", "Анна", "Сергеевна"]
JAPANESE = ["田中", "太郎", "佐藤", "花子", "タナカ"]
SIMPLIFIED = ["王伟", "李娜", "张敏", "刘洋"]
TRADITIONAL = ["陳志明", "林美玲", "黃雅婷"]


def table_in(tmp_path: Path, encoding: str, names: list[str], mark: bytes = b"") -> Path:
    path = tmp_path / "list.csv"
    text = "full_name,domain\r\n" + "".join(f"{name},acme.test\r\n" for name in names)
    path.write_bytes(mark + text.encode(encoding))
    return path


def names_in(path: Path, encoding: str | None = None) -> list[str]:
    return [row.cells[0] for row in open_table(path, encoding).rows()]


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("cp1252", WESTERN),
        ("latin-1", WESTERN),
        ("mac_roman", WESTERN),
        ("cp1250", CENTRAL),
        ("cp1251", RUSSIAN),
        ("koi8_r", RUSSIAN),
        ("shift_jis", JAPANESE),
        ("gbk", SIMPLIFIED),
        ("big5", TRADITIONAL),
    ],
)
def test_the_names_tell_the_encoding(tmp_path: Path, encoding: str, names: list[str]) -> None:
    assert names_in(table_in(tmp_path, encoding, names)) == names


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("cp1252", "Zoë"), ("cp1252", "Søren"), ("cp1252", "Muñoz"), ("cp1252", "Conceição"), ("mac_roman", "José"),
        ("cp1250", "Dvořák"), ("cp1250", "Łukasz"), ("cp1251", "Анна"), ("koi8_r", "Анна"), ("cp1251", "ИВАНОВ"),
        ("shift_jis", "田中"), ("gbk", "王伟"), ("big5", "陳志明"),
    ],
)  # fmt: skip
def test_one_name_may_be_enough(tmp_path: Path, encoding: str, name: str) -> None:
    assert names_in(table_in(tmp_path, encoding, [name])) == [name]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("has_mark", [True, False], ids=["mark", "no mark"])
def test_utf_16_is_read_with_and_without_a_mark(tmp_path: Path, encoding: str, has_mark: bool) -> None:
    mark = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}[encoding] if has_mark else b""

    assert names_in(table_in(tmp_path, encoding, RUSSIAN, mark)) == RUSSIAN


def test_a_guess_is_said(tmp_path: Path) -> None:
    assert open_table(table_in(tmp_path, "cp1252", ["Zoë"])).notices == [
        "list.csv is not UTF-8; it was read as Windows-1252 (Latin-1). Check that accented names look right."
    ]


def test_two_plausible_encodings_are_a_refusal_that_shows_both(tmp_path: Path) -> None:
    path = table_in(tmp_path, "koi8_r", ["иванов", "сергей"])

    with pytest.raises(UnusableFile, match=r"иванов.*Say which is right: --encoding koi8_r or --encoding"):
        open_table(path)
    assert names_in(path, "koi8-r") == ["иванов", "сергей"]


def test_letters_that_make_no_names_in_any_encoding_are_a_refusal(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(b"full_name,domain\n" + b"A\x9d\xa4\xf7\x81\xa7b\xfe\xd7,acme.test\n" * 3)

    with pytest.raises(UnusableFile, match="name its encoding with --encoding"):
        open_table(path)


def test_an_encoding_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    for unknown in ("latin-99", "hex"):
        with pytest.raises(UnusableFile, match=f"There is no encoding '{unknown}'"):
            open_table(table_in(tmp_path, "utf-8", ["Zoë"]), unknown)


def test_one_damaged_character_does_not_make_utf_8_another_encoding(tmp_path: Path) -> None:
    path = table_in(tmp_path, "utf-8", [*RUSSIAN, *WESTERN])
    path.write_bytes(path.read_bytes() + b"Zo\xeb,acme.test\n")

    assert names_in(path)[:-1] == [*RUSSIAN, *WESTERN]


def test_letters_far_down_in_a_large_file_count(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    plain = b"Grace Hopfield,acme.test\n" * 60_000
    path.write_bytes(b"full_name,domain\n" + plain + "Dvořák,acme.test\nŁukasz,acme.test\n".encode("cp1250"))

    *_, last, _ = open_table(path).rows(), None
    assert [row.cells[0] for row in last][-2:] == ["Dvořák", "Łukasz"]
