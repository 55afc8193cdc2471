"""How different mail servers word the same replies (RFC 5321 codes, RFC 3463 enhanced codes).

The texts follow those of real servers; the hosts in them are invented. In a reply `{address}` is the recipient,
`{client}` the client's address, `{greylist_seconds}` the greylist delay. CRLF separates the lines of a reply.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Dialect:
    """One kind of mail server: its greeting and its replies."""

    software: str
    enhanced_codes: bool
    sender_ok: str
    recipient_ok: str
    no_such_mailbox: str
    mailbox_full: str
    mailbox_disabled: str
    relay_denied: str
    blocked: str
    greylisted: str
    too_many_recipients: str
    data_refused: str
    reset: str
    goodbye: str


POSTFIX = Dialect(
    software="ESMTP Postfix",
    enhanced_codes=True,
    sender_ok="250 2.1.0 Ok",
    recipient_ok="250 2.1.5 Ok",
    no_such_mailbox="550 5.1.1 <{address}>: Recipient address rejected: User unknown in virtual alias table",
    mailbox_full="552 5.2.2 <{address}>: Recipient address rejected: Mailbox is full / Quota exceeded",
    mailbox_disabled="550 5.2.1 <{address}>: Recipient address rejected: this mailbox has been disabled",
    relay_denied="554 5.7.1 <{address}>: Relay access denied",
    blocked="554 5.7.1 Service unavailable; Client host [{client}] blocked using zen.dnsbl.example; "
    "https://dnsbl.example/query/ip/{client}",
    greylisted="451 4.7.1 <{address}>: Recipient address rejected: Greylisting in action, come back later",
    too_many_recipients="452 4.5.3 Error: too many recipients",
    data_refused="554 5.7.1 Error: this server takes no messages",
    reset="250 2.0.0 Ok",
    goodbye="221 2.0.0 Bye",
)

EXIM = Dialect(
    software="ESMTP Exim 4.98",
    enhanced_codes=False,
    sender_ok="250 OK",
    recipient_ok="250 Accepted",
    no_such_mailbox="550 No such user here",
    mailbox_full="452 4.2.2 <{address}>: mailbox is full",
    mailbox_disabled="550 5.2.1 <{address}>: account is disabled",
    relay_denied="550 relay not permitted",
    blocked="554 5.7.1 rejected because {client} is in a black list at bl.dnsbl.example",
    greylisted="451 4.7.1 <{address}>: temporarily greylisted, please try again in {greylist_seconds} seconds",
    too_many_recipients="452 4.5.3 too many recipients",
    data_refused="554 5.7.1 this server takes no messages",
    reset="250 Reset OK",
    goodbye="221 closing connection",
)

EXCHANGE = Dialect(
    software="Microsoft ESMTP MAIL Service ready",
    enhanced_codes=True,
    sender_ok="250 2.1.0 Sender OK",
    recipient_ok="250 2.1.5 Recipient OK",
    no_such_mailbox="550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient {address} not found by SMTP address lookup",
    mailbox_full="552 5.2.2 RESOLVER.RST.MailboxFull; mailbox full, the recipient's quota is exceeded",
    mailbox_disabled="550 5.2.1 Mailbox disabled, not accepting messages",
    relay_denied="550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain",
    blocked="554 5.7.1 Service unavailable, Client host [{client}] blocked using Blocklist 1; "
    "to request removal from this list see https://dnsbl.example/delist",
    greylisted="451 4.7.1 Please try again later: greylisted",
    too_many_recipients="452 4.5.3 Too many recipients",
    data_refused="554 5.7.1 Message submission is not accepted here",
    reset="250 2.0.0 Resetting",
    goodbye="221 2.0.0 Service closing transmission channel",
)

GOOGLE = Dialect(
    software="ESMTP 4a7d1ed414474e40 - gsmtp",
    enhanced_codes=True,
    sender_ok="250 2.1.0 OK 4a7d1ed414474e40 - gsmtp",
    recipient_ok="250 2.1.5 OK 4a7d1ed414474e40 - gsmtp",
    no_such_mailbox=(
        "550-5.1.1 The email account that you tried to reach does not exist. Please try\r\n"
        "550-5.1.1 double-checking the recipient's email address for typos or\r\n"
        "550-5.1.1 unnecessary spaces. For more information, go to\r\n"
        "550 5.1.1  https://support.mail.example/?p=NoSuchUser 4a7d1ed414474e40 - gsmtp"
    ),
    mailbox_full=(
        "452-4.2.2 The recipient's inbox is out of storage space. Please direct the\r\n"
        "452-4.2.2 recipient to\r\n"
        "452 4.2.2  https://support.mail.example/?p=OverQuotaTemp 4a7d1ed414474e40 - gsmtp"
    ),
    mailbox_disabled=(
        "550-5.2.1 The email account that you tried to reach is disabled. For more\r\n"
        "550 5.2.1 information, go to https://support.mail.example/?p=DisabledUser 4a7d1ed414474e40 - gsmtp"
    ),
    relay_denied="550 5.7.1 Relaying denied 4a7d1ed414474e40 - gsmtp",
    blocked=(
        "554-5.7.1 [{client}] Our system has detected that this address is listed on\r\n"
        "554 5.7.1 the blocklist zen.dnsbl.example; see https://dnsbl.example/?ip={client} - gsmtp"
    ),
    greylisted="451 4.7.1 Greylisted, try again later 4a7d1ed414474e40 - gsmtp",
    too_many_recipients="452 4.5.3 Your message has too many recipients 4a7d1ed414474e40 - gsmtp",
    data_refused="554 5.7.1 Messages are not accepted here 4a7d1ed414474e40 - gsmtp",
    reset="250 2.1.5 Flushed 4a7d1ed414474e40 - gsmtp",
    goodbye="221 2.0.0 closing connection 4a7d1ed414474e40 - gsmtp",
)

DIALECTS = {"postfix": POSTFIX, "exim": EXIM, "exchange": EXCHANGE, "google": GOOGLE}
"""The dialects in common use."""

QUIRKS = {
    "postfix-soft": replace(
        POSTFIX,
        no_such_mailbox="450 4.1.1 <{address}>: Recipient address rejected: User unknown in local recipient table",
    ),
}
"""Rarer dialects: a transient refusal (450) where others send a permanent one."""


def dialect_named(name: str) -> Dialect:
    """Return a dialect. Raises KeyError if none has that name."""
    return (DIALECTS | QUIRKS)[name]
