"""Our verdicts in the vocabularies of other verifiers, so that programs that read their results keep working.

Each of our (status, reason) has exactly one word in each vocabulary; docs/reference/verdicts.md shows them. Sources,
read in November 2026: Reacher's `Reachable` (check-if-email-exists, core/src/util/input_output.rs), ZeroBounce's
"Status codes (V2)" page, NeverBounce's "API v4 reference", Hunter's "API v2, Email Verifier".
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipeline.outcomes import OutcomeStatus, Reason


@dataclass(frozen=True, slots=True)
class Words:
    """One verdict in other vocabularies; `zerobounce` is a status and a sub-status, which may be empty."""

    reacher: str
    zerobounce: tuple[str, str]
    neverbounce: str
    hunter: str


def _risky(zerobounce: str, substatus: str, neverbounce: str, hunter: str) -> Words:
    return Words("risky", (zerobounce, substatus), neverbounce, hunter)


def _invalid(substatus: str) -> Words:
    return Words("invalid", ("invalid", substatus), "invalid", "invalid")


def _unknown(substatus: str) -> Words:
    return Words("unknown", ("unknown", substatus), "unknown", "unknown")


VOCABULARY: Mapping[tuple[OutcomeStatus, Reason], Words] = {
    (OutcomeStatus.VALID, Reason.MAILBOX_EXISTS): Words("safe", ("valid", ""), "valid", "valid"),
    (OutcomeStatus.RISKY, Reason.MAILBOX_BUSY): _risky("valid", "", "valid", "valid"),
    (OutcomeStatus.RISKY, Reason.ROLE_ACCOUNT): _risky("do_not_mail", "role_based", "valid", "valid"),
    (OutcomeStatus.RISKY, Reason.SERVER_UNCLEAR): _risky("catch-all", "", "catchall", "accept_all"),
    (OutcomeStatus.RISKY, Reason.MAILBOX_FULL): _risky("invalid", "mailbox_quota_exceeded", "invalid", "invalid"),
    (OutcomeStatus.RISKY, Reason.ACCEPTS_ALL_LATER_BOUNCES): _risky("catch-all", "", "catchall", "accept_all"),
    (OutcomeStatus.RISKY, Reason.CATCH_ALL): _risky("catch-all", "", "catchall", "accept_all"),
    (OutcomeStatus.RISKY, Reason.POSSIBLE_TYPO): _risky("invalid", "possible_typo", "unknown", "unknown"),
    (OutcomeStatus.RISKY, Reason.DISPOSABLE): _risky("do_not_mail", "disposable", "disposable", "disposable"),
    (OutcomeStatus.INVALID, Reason.MAILBOX_DISABLED): _invalid("mailbox_not_found"),
    (OutcomeStatus.INVALID, Reason.NO_SUCH_MAILBOX): _invalid("mailbox_not_found"),
    (OutcomeStatus.INVALID, Reason.NO_SUCH_DOMAIN): _invalid("no_dns_entries"),
    (OutcomeStatus.INVALID, Reason.NO_MAIL_SERVER): _invalid("no_dns_entries"),
    (OutcomeStatus.INVALID, Reason.NULL_MX): _invalid("does_not_accept_mail"),
    (OutcomeStatus.INVALID, Reason.SYNTAX): _invalid("failed_syntax_check"),
    (OutcomeStatus.UNKNOWN, Reason.GREYLISTED): _unknown("greylisted"),
    (OutcomeStatus.UNKNOWN, Reason.RATE_LIMITED): _unknown("mail_server_temporary_error"),
    (OutcomeStatus.UNKNOWN, Reason.BLOCKED): _unknown("antispam_system"),
    (OutcomeStatus.UNKNOWN, Reason.POLICY): _unknown("antispam_system"),
    (OutcomeStatus.UNKNOWN, Reason.SERVER_UNCLEAR): _unknown("mail_server_temporary_error"),
    (OutcomeStatus.UNKNOWN, Reason.SERVER_UNREACHABLE): _unknown("failed_smtp_connection"),
    (OutcomeStatus.UNKNOWN, Reason.UNUSABLE_MAIL_HOST): _unknown("failed_smtp_connection"),
    (OutcomeStatus.UNKNOWN, Reason.DNS_FAILURE): _unknown("mail_server_did_not_respond"),
    (OutcomeStatus.UNKNOWN, Reason.TIME_LIMIT): _unknown("timeout_exceeded"),
    (OutcomeStatus.UNKNOWN, Reason.INTERNAL_ERROR): _unknown("exception_occurred"),
}
"""Every verdict of `email_verify`. Hunter says `webmail` instead of `valid` at free-mail domains."""


def words_for(status: OutcomeStatus, reason: Reason, *, free: bool = False) -> Words:
    """Return a verdict in other vocabularies; `free`: anybody can get an address at its domain."""
    words = VOCABULARY[status, reason]
    if free and words.hunter == "valid":
        return replace(words, hunter="webmail")
    return words
