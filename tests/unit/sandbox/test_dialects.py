import re
from dataclasses import fields

import pytest

from sandbox.dialects import DIALECTS, Dialect

REPLIES = [
    pytest.param(getattr(dialect, field.name), id=f"{name}-{field.name}")
    for name, dialect in DIALECTS.items()
    for field in fields(Dialect)
    if field.name not in {"software", "enhanced_codes"}
]


@pytest.mark.parametrize("reply", REPLIES)
def test_every_reply_is_well_formed(reply: str) -> None:
    """RFC 5321 section 4.2.1: one code on all lines, a hyphen after it on all but the last."""
    *continued, last = reply.format(address="ada@cedar-foods.test", client="127.0.0.1", greylist_seconds=300).split(
        "\r\n"
    )
    code = last[:3]

    assert re.fullmatch(r"[245][0-5][0-9] [\x20-\x7e]+", last)
    assert all(re.fullmatch(rf"{code}-[\x20-\x7e]+", line) for line in continued)


@pytest.mark.parametrize("reply", REPLIES)
def test_an_enhanced_code_is_of_the_replys_own_class(reply: str) -> None:
    """RFC 3463 section 3: the first number of both codes is the same."""
    for line in reply.split("\r\n"):
        enhanced = re.match(r"(\d)\d\d[- ](\d)\.\d+\.\d+ ", line)
        assert enhanced is None or enhanced[1] == enhanced[2]


@pytest.mark.parametrize("dialect", [dialect for dialect in DIALECTS.values() if dialect.enhanced_codes])
def test_a_dialect_that_offers_enhanced_codes_uses_them_in_every_reply(dialect: Dialect) -> None:
    """RFC 2034 section 4."""
    for field in fields(Dialect)[2:]:
        assert re.match(r"\d\d\d[- ]\d\.\d+\.\d+ ", getattr(dialect, field.name)), field.name
