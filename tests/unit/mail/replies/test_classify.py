"""Replies seen in the wild, and what each means. The wordings are public; the names in them are invented."""

import csv
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.mail.replies.classify import (
    classify,
    classify_refused_session,
    denies_mailbox,
    is_too_many_recipients,
    standard_book,
    without_addresses,
    without_local_part,
)
from pipeline.mail.replies.meaning import ABOUT_US, CONCLUSIVE, EXISTS, Meaning
from pipeline.mail.smtp.reply import Reply


def seen_in_the_wild() -> list[tuple[str, str, Reply]]:
    """The table of replies: meaning, product or language, reply."""
    with Path(__file__).with_name("replies.tsv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [(row["meaning"], row["origin"], Reply(int(row["reply"][:3]), (row["reply"][4:],))) for row in rows]


SEEN = seen_in_the_wild()


def texts(*meanings: Meaning) -> list[str]:
    return [reply.text for meaning, _, reply in SEEN if meaning in meanings]


ABOUT_A_MAILBOX = texts(Meaning.NO_SUCH_MAILBOX, Meaning.MAILBOX_DISABLED, Meaning.MAILBOX_FULL)
DENIALS = texts(Meaning.NO_SUCH_MAILBOX, Meaning.MAILBOX_DISABLED)
BLOCK_WORDINGS = [
    "Your IP address 192.0.2.1 is blacklisted",
    "Your IP address 192.0.2.1 is on our block list",
    "Client host [192.0.2.1] blocked using zen.spamhaus.org",
    "see https://www.spamhaus.org/query/ip/192.0.2.1",
    "192.0.2.1 is listed at bl.test",
    "poor reputation of the sending IP",
    "cannot find your reverse hostname",
]


@pytest.mark.parametrize(("meaning", "origin", "reply"), SEEN)
def test_a_reply_means_what_its_server_meant(meaning: str, origin: str, reply: Reply) -> None:
    assert classify(reply) == meaning


def test_the_table_has_each_meaning_that_a_reply_can_have() -> None:
    assert {meaning for meaning, _, _ in SEEN} == set(Meaning) - {Meaning.UNREACHABLE, Meaning.TIME_LIMIT}


def test_a_reply_of_four_lines_is_read_as_one_text() -> None:
    lines = (
        "5.1.1 The email account that you tried to reach does",
        "5.1.1 not exist. Please try double-checking the recipient's",
        "5.1.1 email address for typos. For more information, go to",
        "5.1.1  https://support.test/mail/?p=NoSuchUser a1-2002 - gsmtp",
    )

    assert classify(Reply(550, lines)) is Meaning.NO_SUCH_MAILBOX


@pytest.mark.parametrize("local", ["quota.full", "blacklist", "spam", "greylist", "unknown.user", "disabled"])
def test_words_inside_the_address_do_not_count(local: str) -> None:
    reply = Reply(550, (f"5.1.1 <{local}@x.test>: Recipient address rejected: User unknown",))

    assert classify(reply) is Meaning.NO_SUCH_MAILBOX


@pytest.mark.parametrize(
    ("code", "text", "detail"),
    [
        (554, "5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", "blocklist"),
        (554, "5.7.1 Client host rejected: Access denied", "address"),
        (450, "4.7.1 Client host rejected: cannot find your reverse hostname, [192.0.2.1]", "reverse_dns"),
        (550, "5.7.25", "reverse_dns"),
        (504, "5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname", "helo"),
        (450, "4.1.8 <s@y.test>: Sender address rejected: Domain not found", "sender"),
        (550, "5.7.26 this mail is unauthenticated", "sender"),
        (550, "5.1.1 User unknown", ""),
    ],
)
def test_a_block_says_what_of_ours_is_refused(code: int, text: str, detail: str) -> None:
    assert standard_book().judge(Reply(code, (text,))).detail == detail


def test_a_judgement_names_the_rule_that_made_it() -> None:
    assert standard_book().judge(Reply(450, ("4.2.0 Greylisted",))).rule == "greylisting"


@pytest.mark.parametrize(("provider", "meaning"), [("tencent", Meaning.MAILBOX_BUSY), ("", Meaning.UNCLEAR)])
def test_a_wording_may_have_another_meaning_at_one_provider(provider: str, meaning: Meaning) -> None:
    reply = Reply(550, ("Mailbox unavailable or access denied",))

    assert standard_book().judge(reply, provider).meaning is meaning


@pytest.mark.parametrize(
    ("text", "enhanced"),
    [
        ("5.1.1 User unknown", "5.1.1"),
        ("sorry, no mailbox here by that name (#5.1.1 - chkuser)", "5.1.1"),
        ("cuda_nsu 5.1.1 <a.b@x.test>... User unknown", "5.1.1"),
        ("cmsmtp 5.7.1 Service unavailable", "5.7.1"),
        ("see https://help.test/550-5.1.1", ""),
        ("mx.test (Exim 4.94.2) refuses", ""),
        ("the rest of 4.2.2 is another class", ""),
        ("client [5.1.1.7] refused", ""),
    ],
)
def test_an_enhanced_code_is_found_where_servers_put_it(text: str, enhanced: str) -> None:
    assert Reply(550, (text,)).enhanced == enhanced


@given(st.integers(200, 599), st.text(max_size=200))
def test_any_reply_has_a_meaning(code: int, text: str) -> None:
    assert classify(Reply(code, (text,))) in Meaning


@given(st.integers(400, 499), st.sampled_from(DENIALS))
def test_a_transient_refusal_never_says_that_there_is_no_such_mailbox(code: int, text: str) -> None:
    assert classify(Reply(code, (text,))) not in {Meaning.NO_SUCH_MAILBOX, Meaning.MAILBOX_DISABLED}


@given(
    st.sampled_from([*range(500, 504), *range(550, 555)]),
    st.sampled_from(ABOUT_A_MAILBOX),
    st.sampled_from(BLOCK_WORDINGS),
)
def test_block_wording_outranks_mailbox_wording(code: int, text: str, block: str) -> None:
    assert classify(Reply(code, (f"{text} {block}",))) not in CONCLUSIVE - {Meaning.MAILBOX_BUSY}


@given(st.integers(252, 599), st.sampled_from([reply.text for _, _, reply in SEEN]) | st.text(max_size=100))
def test_only_a_positive_reply_is_an_acceptance(code: int, text: str) -> None:
    assert classify(Reply(code, (text,))) is not Meaning.ACCEPTED


@given(st.text(max_size=60), st.sampled_from(ABOUT_A_MAILBOX), st.text(max_size=60))
def test_what_stands_around_a_wording_never_makes_a_denial_an_acceptance(before: str, text: str, after: str) -> None:
    assert classify(Reply(550, (f"{before} {text} {after}",))) is not Meaning.ACCEPTED


@pytest.mark.parametrize("words", ["user ", "unknown ", "EMAIL ", "box ", "your ip ", "x@y ", "a", "not ", "<"])
def test_no_text_takes_long_to_judge(words: str) -> None:
    started = time.process_time()
    classify(Reply(550, (words * 1000,)))

    assert time.process_time() - started < 0.5


def test_every_meaning_but_policy_and_unclear_is_either_conclusive_or_about_us() -> None:
    assert set(Meaning) - CONCLUSIVE - ABOUT_US == {Meaning.POLICY, Meaning.UNCLEAR}
    assert EXISTS < CONCLUSIVE


@pytest.mark.parametrize(
    ("code", "text", "meaning"),
    [
        (554, "5.1.1 user unknown", Meaning.BLOCKED),
        (554, "go away", Meaning.BLOCKED),
        (421, "4.7.0 too many connections", Meaning.RATE_LIMITED),
        (421, "shutting down", Meaning.UNCLEAR),
        (450, "4.2.2 mailbox is full", Meaning.UNCLEAR),
        (451, "greylisted", Meaning.GREYLISTED),
    ],
)
def test_a_session_refused_before_any_recipient_says_nothing_about_a_mailbox(
    code: int, text: str, meaning: Meaning
) -> None:
    assert classify_refused_session(Reply(code, (text,))) is meaning


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (452, "4.5.3 Error: too many recipients", True),
        (452, "Too many recipients", True),
        (451, "4.5.3 Recipients belong to multiple regions ATTR38", True),
        (452, "4.2.2 mailbox is full", False),
        (550, "too many recipients rejected", False),
    ],
)
def test_too_many_recipients_is_distinguished_from_a_full_mailbox(code: int, text: str, *, expected: bool) -> None:
    assert is_too_many_recipients(Reply(code, (text,))) is expected


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (450, "4.1.1 User unknown", True),
        (550, "5.1.1 User unknown", True),
        (450, "4.7.1 Greylisted", False),
        (250, "User unknown, but never mind", False),
    ],
)
def test_a_random_address_may_be_denied_by_a_transient_reply(code: int, text: str, *, expected: bool) -> None:
    assert denies_mailbox(Reply(code, (text,))) is expected


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("5.1.1 <grace.hopper@x.test>: User unknown", "5.1.1 <address>: User unknown"),
        ("User Grace.Hopper unknown", "User <address> unknown"),
        ("no mailbox grace.hoppers here", "no mailbox grace.hoppers here"),
        ("5.1.1 User unknown", "5.1.1 User unknown"),
    ],
)
def test_a_text_kept_as_evidence_holds_no_address(text: str, redacted: str) -> None:
    kept = without_addresses(Reply(550, (text,))).text

    assert without_local_part(kept, "grace.hopper@x.test") == redacted


@given(st.sampled_from(SEEN))
def test_a_redacted_text_means_the_same(seen: tuple[str, str, Reply]) -> None:
    meaning, _, reply = seen

    assert classify(without_addresses(reply)) == meaning


@given(st.lists(st.sampled_from(["<ada@x.test>", "<bob@x.test>", "ada@x.test", "<ada>", "<", ">", " ", "5.1.1 no"])))
def test_the_probed_address_is_redacted_like_any_other(words: list[str]) -> None:
    reply = Reply(550, ("".join(words), "5.1.1 <ada@x.test> gone"))

    assert without_addresses(reply, "ada@x.test") == without_addresses(reply)
