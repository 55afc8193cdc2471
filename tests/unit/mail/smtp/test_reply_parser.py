"""SMTP replies out of any bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.mail.smtp.errors import MalformedReplyError
from pipeline.mail.smtp.reply import Reply
from pipeline.mail.smtp.reply_parser import MAX_LINE, MAX_LINES, MAX_TEXT, ReplyParser


def parse(*chunks: bytes) -> list[Reply]:
    parser = ReplyParser()
    for chunk in chunks:
        parser.feed(chunk)
    return list(parser.replies)


def parse_leniently(chunks: list[bytes]) -> tuple[list[Reply], bool]:
    """The replies up to the first malformed line, and whether there was one."""
    parser = ReplyParser()
    try:
        for chunk in chunks:
            parser.feed(chunk)
    except MalformedReplyError:
        return list(parser.replies), True
    return list(parser.replies), False


def test_a_line_is_a_reply() -> None:
    assert parse(b"250 2.1.5 Ok\r\n") == [Reply(250, ("2.1.5 Ok",))]


def test_lines_with_hyphens_belong_to_the_line_without() -> None:
    assert parse(b"250-mx.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n") == [
        Reply(250, ("mx.test", "PIPELINING", "8BITMIME"))
    ]


def test_several_replies_may_come_at_once() -> None:
    assert [reply.code for reply in parse(b"250 a\r\n550 b\r\n452 c\r\n")] == [250, 550, 452]


def test_an_unfinished_reply_is_none_yet() -> None:
    assert parse(b"250-a\r\n250 b") == []


def test_a_bare_line_feed_ends_a_line_too() -> None:
    assert parse(b"250 ok\n") == [Reply(250, ("ok",))]


def test_a_code_alone_is_a_reply() -> None:
    assert parse(b"250\r\n") == [Reply(250, ("",))]


def test_blank_lines_are_passed_over() -> None:
    assert parse(b"\r\n\n250 ok\r\n") == [Reply(250, ("ok",))]


def test_a_line_without_code_inside_a_reply_is_part_of_its_text() -> None:
    assert parse(b"550-no such\r\nuser\r\n550 here\r\n")[0].text == "no such user here"


def test_an_oversized_line_is_cut_and_still_understood() -> None:
    reply = parse(b"550 " + b"x" * 1_000_000 + b"\r\n")[0]

    assert reply.code == 550
    assert len(reply.text) < MAX_LINE


def test_an_endless_line_takes_no_more_memory_than_one_line() -> None:
    parser = ReplyParser()
    for _ in range(100):
        parser.feed(b"x" * 65536)

    assert len(parser._rest) <= MAX_LINE  # noqa: SLF001 - the bound is the point


@pytest.mark.parametrize(
    "data",
    [b"hello\r\n", b"25 ok\r\n", b"150 ok\r\n", b"650 ok\r\n", b"2500 ok\r\n", b"\xff\xfe\x00\r\n", b" 250 ok\r\n"],
)
def test_what_is_not_smtp_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedReplyError):
        parse(data)


def test_a_code_that_changes_inside_a_reply_is_malformed() -> None:
    with pytest.raises(MalformedReplyError):
        parse(b"250-ok\r\n550 no\r\n")


def test_a_reply_without_end_is_malformed() -> None:
    with pytest.raises(MalformedReplyError):
        parse(b"250-and\r\n" * (MAX_LINES + 1))


def test_of_many_long_lines_the_beginning_is_kept() -> None:
    reply = parse(b"550-" + b"x" * 2000 + b"\r\n" + (b"550-" + b"y" * 2000 + b"\r\n") * 90 + b"550 end\r\n")[0]

    assert reply.code == 550
    assert len(reply.lines) == 92
    assert sum(map(len, reply.lines)) <= MAX_TEXT
    assert reply.lines[0] == "x" * 2000


def test_replies_before_the_malformed_line_are_kept() -> None:
    assert parse_leniently([b"250 ok\r\nnonsense\r\n"]) == ([Reply(250, ("ok",))], True)


LINES = st.sampled_from([b"250 ok", b"250-more", b"550 5.1.1 no", b"", b"junk", b"250", b"\xff\x00", b"x" * 3000])


@given(st.lists(LINES), st.data())
def test_how_bytes_are_cut_into_chunks_makes_no_difference(lines: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(line + b"\r\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    chunks = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]

    assert parse_leniently(chunks) == parse_leniently([whole])


@given(st.lists(st.binary(max_size=200)))
def test_any_bytes_give_printable_replies_or_are_malformed(chunks: list[bytes]) -> None:
    replies, _ = parse_leniently(chunks)

    assert all(200 <= reply.code <= 599 and reply.text.isprintable() for reply in replies)


@pytest.mark.parametrize(
    ("lines", "enhanced", "text"),
    [
        (("5.1.1 no such user",), "5.1.1", "5.1.1 no such user"),
        (("5.1.1 no such", "5.1.1 user"), "5.1.1", "5.1.1 no such user"),
        (("sorry, no mailbox here by that name (#5.1.1)",), "5.1.1", "sorry, no mailbox here by that name (#5.1.1)"),
        (("#5.1.0 Address rejected.",), "5.1.0", "#5.1.0 Address rejected."),
        (("see https://help.test/550-5.1.1",), "", "see https://help.test/550-5.1.1"),
        (("10.5.1.1 is listed",), "", "10.5.1.1 is listed"),
        (("",), "", ""),
    ],
)
def test_the_enhanced_code_is_found_where_servers_put_it(lines: tuple[str, ...], enhanced: str, text: str) -> None:
    reply = Reply(550, lines)

    assert (reply.enhanced, reply.text) == (enhanced, text)
