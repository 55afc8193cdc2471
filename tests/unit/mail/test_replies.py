"""Replies seen in the wild, and what each means. The wordings are public; the names in them are invented."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.mail.meanings import ABOUT_US, EXISTS, SETTLED, Meaning
from pipeline.mail.replies import (
    classify,
    classify_refused_session,
    denies_mailbox,
    is_too_many_recipients,
)
from pipeline.mail.reply import Reply

NO_SUCH_MAILBOX = [
    (550, "5.1.1 The email account that you tried to reach does not exist. Please try double-checking the"),
    (550, "5.1.1 <a.b@x.test>: Recipient address rejected: User unknown in relay recipient table"),
    (550, "5.1.1 : Unrouteable address"),
    (550, "5.1.1 Invalid email address"),
    (550, "5.1.1 Unknown recipient address"),
    (550, "5.1.1 Recipient unknown <a.b@x.test>"),
    (550, "5.1.1 MXIN501 mailbox <a.b@x.test> unknown"),
    (550, "5.1.1 Sorry, no mailbox here by that name"),
    (550, "sorry, no mailbox here by that name (#5.1.1)"),
    (550, "Requested action not taken: mailbox unavailable"),
    (550, "5.1.1 Is not a valid mailbox"),
    (550, "Unknown local part a.b in <a.b@x.test>"),
    (550, "RCPT (<a.b@x.test>) dosn't exist"),
    (550, "No such person at this address"),
    (550, "5.1.1 <a.b@x.test> Address Error"),
    (550, "5.1.1 recipient is not exist"),
    (550, "5.7.1 Email doesn't exist. Please forward it or send it to office@x.test s12-a gcdp gsmtp"),
    (550, "5.1.1 Adresse d au moins un destinataire invalide. Invalid recipient. OFR_416 [416]"),
    (554, "delivery error: dd Not a valid recipient - a.b@x.test"),
    (550, "no existe dicha persona"),
    (550, "no existe ese usuario"),
    (553, "sorry, badrcptto (#5.7.1)"),
    (550, "this recipient is not in my validrcptto list (#5.7.1)"),
    (550, "No such user here"),
    (550, "5.4.1 Recipient address rejected: Access denied. AS(201806281)"),
    (550, "5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient a.b@x.test not found by SMTP address lookup"),
    (550, "5.1.1"),
    (550, "#5.1.0 Address rejected."),
    (550, "Benutzer unbekannt"),
    (550, "Der Empfänger existiert nicht"),
    (550, "5.1.1 Unbekannter Empfänger"),
    (550, "Destinataire inconnu"),
    (550, "L'adresse a.b@x.test n'existe pas"),
    (550, "Utente sconosciuto"),
    (550, "El usuario a.b no existe"),
    (550, "Usuário desconhecido"),
    (550, "Użytkownik nieznany"),
    (550, "5.1.1 пользователь не найден"),
    (550, "5.1.1 недействительный адрес"),
    (550, "用户不存在"),
    (550, "5.1.1 无效的收件人"),
    (550, "5.0.0 remote host said: 550 User unknown, message rejected"),
    (550, "5.1.1 The server rejected the recipient"),
    (550, "a.b@x.test is unknown here"),
    (551, "User not local; please try <c@y.test>"),
]

SWITCHED_OFF = [
    (554, "delivery error: Sorry your message to a.b@x.test cannot be delivered. This account has been disabled"),
    (550, "5.2.1 a.b@x.test is expired account"),
    (550, "user suspended"),
    (550, "boite du destinataire archivee"),
    (550, "5.2.1 The email account that you tried to reach is disabled."),
    (550, "5.2.1 Mailbox disabled, not accepting messages"),
    (550, "5.2.1"),
    (550, "Dieses Konto wurde deaktiviert"),
    (550, "La cuenta ha sido suspendida"),
    (550, "Аккаунт заблокирован: ящик отключен"),
]

FULL = [
    (452, "4.2.2 The recipient's inbox is out of storage space. support.test/mail/?p=OverQuotaTemp gsmtp"),
    (550, "user has too many messages on the server"),
    (550, "user over quota. (#5.1.1)"),
    (550, "recipient rejected: mailbox would exceed maximum allowed storage"),
    (552, "too much mail data"),
    (550, "5.1.1 mailbox is over quota and inactive"),
    (552, "5.2.2 RESOLVER.RST.MailboxFull; mailbox full, the recipient's quota is exceeded"),
    (452, "4.2.2 <a.b@x.test>: mailbox is full"),
    (552, "Requested mail action aborted: exceeded storage allocation"),
    (550, "La boîte de ce destinataire est pleine"),
    (550, "Postfach ist voll"),
    (550, "Mailbox has exceeded the limit"),
    (552, "邮箱已满"),
]

BUSY = [
    (450, "4.2.1 The user you are trying to contact is receiving mail too quickly. Please resend later"),
    (450, "User is receiving mail too quickly"),
    (550, "5.2.1 The user you are trying to contact is receiving mail at a rate that prevents more"),
    (550, "account disabled temporarily for exceeding receiving limits"),
]

GREYLISTED = [
    (451, "4.7.1 <a.b@x.test>: Recipient address rejected: Greylisting in action, come back later"),
    (450, "4.2.0 Greylisted, see http://postgrey.test/help/x.test.html"),
    (450, "blocked using grey.rbl: Greylisting in action"),
    (451, "greylisted, please try again in 300 seconds"),
    (451, "Please try again later"),
    (451, "internal resources are temporarily unavailable"),
    (451, "4.7.1 service is currently unavailable"),
    (450, "4.7.1"),
]

RATE_LIMITED = [
    (421, "Too many concurrent SMTP connections from this IP address; please try again later."),
    (421, "RP-001 The mail server exceeded the rate"),
    (421, "4.7.0 Try again later, closing connection."),
    (421, "Max message per connection reached, closing transmission channel"),
    (451, "4.7.860 Access denied, please try again later"),
    (421, "4.7.0 x.test Error: too many errors"),
    (450, "4.7.1 Error: too many recipients from 192.0.2.1"),
    (550, "5.7.1 Connection rate limit exceeded"),
]

BLOCKED = [
    (550, "5.7.1 Service unavailable; Client host [192.0.2.1] is blacklisted. Visit www.sophos.com/threat"),
    (554, "5.7.1 <a.b@x.test>: Recipient address rejected: https://www.spamhaus.org/query/ip/192.0.2.1"),
    (554, "mail.test (mx117) Nemesis ESMTP Service not available; No SMTP service; IP address is block listed."),
    (553, "5.7.2 [TSS09] All messages from 192.0.2.1 will be permanently deferred; Retrying will NOT succeed."),
    (554, "5.7.0 Blocked - see https://support.proofpoint.com/dnsbl-lookup.cgi?ip=192.0.2.1"),
    (550, "SC-002 (COL004) messages weren't sent. part of their network is on our block list"),
    (554, "Your access to this mail system has been rejected; SBRS score too low"),
    (450, "192.0.2.1 is not yet authorized to deliver mail from <x@y.test>"),
    (550, "5.7.25 Access denied, the sending IPv6 address must have a reverse DNS record"),
    (550, "5.7.506 Access denied, Bad HELO"),
    (550, "5.7.510 Access denied, x.test does not accept email over IPv6"),
    (451, "recipient temporarily unavailable"),
    (550, "Mailbox unavailable. Your IP address 192.0.2.1 is blacklisted using bl.test"),
    (450, "4.7.1 Client host rejected: cannot find your reverse hostname, [192.0.2.1]"),
    (550, "5.1.8 <x@y.test>: Sender address rejected: Domain not found"),
    (504, "5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname"),
    (550, "5.7.606 Access denied, banned sending IP [192.0.2.1]"),
    (550, "SPF check failed"),
    (550, "5.7.1 Your mail server 192.0.2.1 is not allowed to send to us"),
]

POLICY = [
    (553, "sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)"),
    (554, "5.7.1 <a.b@x.test>: Relay access denied"),
    (550, "relay not permitted"),
    (550, "5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required"),
    (530, "5.7.0 Must issue a STARTTLS command first"),
    (550, "Administrative prohibition"),
    (554, "5.7.1 <a.b@x.test>: Recipient address rejected: Access denied"),
]

UNCLEAR = [
    (450, "unable to verify user"),
    (450, "4.1.1 <a.b@x.test>: Recipient address rejected: unverified address: user unknown"),
    (452, "4.3.1 Insufficient system storage"),
    (451, "4.4.4 Mail received as unauthenticated, incoming to a recipient domain ATTR1"),
    (451, "Temporary local problem - please try later"),
    (550, ""),
    (550, "rejected, contact the postmaster if you think that this is invalid"),
    (550, "Host unknown"),
    (550, "see https://help.test/550-5.1.1"),
    (252, "Cannot VRFY user, but will accept message and attempt delivery"),
    (220, "ready"),
    (354, "go on"),
    (599, "?"),
]


def table(**meanings: list[tuple[int, str]]) -> list[tuple[int, str, Meaning]]:
    return [(code, text, Meaning(name)) for name, rows in meanings.items() for code, text in rows]


@pytest.mark.parametrize(
    ("code", "text", "meaning"),
    table(
        no_such_mailbox=NO_SUCH_MAILBOX,
        mailbox_disabled=SWITCHED_OFF,
        mailbox_full=FULL,
        mailbox_busy=BUSY,
        greylisted=GREYLISTED,
        rate_limited=RATE_LIMITED,
        blocked=BLOCKED,
        policy=POLICY,
        unclear=UNCLEAR,
        accepted=[(250, "2.1.5 Ok"), (251, "User not local; will forward")],
    ),
)
def test_a_reply_means_what_its_server_meant(code: int, text: str, meaning: Meaning) -> None:
    assert classify(Reply(code, (text,))) is meaning


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


@given(st.integers(200, 599), st.text(max_size=200))
def test_any_reply_has_a_meaning(code: int, text: str) -> None:
    assert classify(Reply(code, (text,))) in Meaning


@given(st.integers(400, 499), st.sampled_from([text for _, text in NO_SUCH_MAILBOX + SWITCHED_OFF]))
def test_a_transient_refusal_never_says_that_there_is_no_such_mailbox(code: int, text: str) -> None:
    assert classify(Reply(code, (text,))) not in {Meaning.NO_SUCH_MAILBOX, Meaning.MAILBOX_DISABLED}


@given(
    st.sampled_from(NO_SUCH_MAILBOX + SWITCHED_OFF + FULL), st.sampled_from(["is blacklisted", "is on our block list"])
)
def test_block_wording_outranks_mailbox_wording(reply: tuple[int, str], block: str) -> None:
    code, text = reply
    if "5.4.1" in text:
        return

    assert classify(Reply(code, (f"{text} Your IP address 192.0.2.1 {block}",))) not in SETTLED


@given(st.integers(300, 599), st.text(max_size=100))
def test_only_a_positive_reply_is_an_acceptance(code: int, text: str) -> None:
    assert classify(Reply(code, (text,))) is not Meaning.ACCEPTED


def test_every_meaning_but_policy_and_unclear_is_either_settled_or_deferred() -> None:
    assert set(Meaning) - SETTLED - ABOUT_US == {Meaning.POLICY, Meaning.UNCLEAR}
    assert EXISTS < SETTLED


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
def test_too_many_recipients_is_told_from_a_full_mailbox(code: int, text: str, *, expected: bool) -> None:
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
def test_an_invented_address_may_be_denied_by_a_transient_reply(code: int, text: str, *, expected: bool) -> None:
    assert denies_mailbox(Reply(code, (text,))) is expected
