"""What a stage can conclude about a contact: a closed set of statuses and of reasons.

An outcome is written once: `(run_id, stage, position)` is its primary key.
"""

from enum import StrEnum
from typing import Any, NamedTuple, Self

from pipeline.evidence import NO_EVIDENCE, Evidence


class OutcomeStatus(StrEnum):
    """What a stage concluded about a contact."""

    FOUND = "found"
    """`email_lookup` has an address for this contact."""
    NOT_FOUND = "not_found"
    """`email_lookup` has no address; the reason says why."""
    VALID = "valid"
    """`email_verify`: the mail server would deliver mail to this address."""
    RISKY = "risky"
    """`email_verify`: the mail server accepts mail for this address, which may still bounce or not be read."""
    INVALID = "invalid"
    """`email_verify`: mail to this address would bounce."""
    UNKNOWN = "unknown"
    """`email_verify` could not tell; the reason says why."""
    SKIPPED = "skipped"
    """The stage had nothing to do: the contact has no address."""


_LATER = "Send the contact again later, in a new run; a failed or cancelled run can be retried instead."
_FIND_MAIL_DOMAIN = "Find the domain that the company sends mail from, often its parent company's."
_ASK_OTHER_SOURCE = "Configure another source, such as a provider or a directory of your own."


class Reason(StrEnum):
    """Why a stage concluded what it did: one word for each cause, in tables, logs, exports and gap reports alike.

    `sentence` explains the reason and `advice` says what the user can do about it. `may_pass` tells that the cause
    may be gone later: a retried run works such contacts again.
    """

    sentence: str
    advice: str
    may_pass: bool

    # The defaults are for the type checker, which takes `Reason(word)`, a look-up, for a call of this.
    def __new__(cls, word: str, sentence: str = "", advice: str = "", may_pass: bool = False) -> Self:  # noqa: FBT001, FBT002
        """Create a member from its entry below."""
        reason = str.__new__(cls, word)
        reason._value_ = word
        reason.sentence, reason.advice, reason.may_pass = sentence, advice, may_pass
        return reason

    # The address was found, or mail to it would arrive.
    INPUT = (
        "input",
        "The contact was supplied with this address.",
        "Verify the address: choose the preset verify_existing_emails.",
    )
    MAILBOX_EXISTS = (
        "mailbox_exists",
        "The domain's mail server accepts this address and refuses a random one.",
        "Use the address.",
    )
    PROVIDED = (
        "provided",
        "A provider or a directory gave this address.",
        "Use the address once it is verified.",
    )

    # Mail to the address may bounce or not be read.
    CATCH_ALL = (
        "catch_all",
        "The domain's mail server accepts every address, so accepting this one proves nothing.",
        "Add contacts of this domain whose address you know: the others are inferred from three that agree.",
    )
    MAILBOX_FULL = (
        "mailbox_full",
        "The mailbox exists but is over its quota.",
        "Try again in some days, or reach the person by other means.",
    )
    MAILBOX_BUSY = (
        "mailbox_busy",
        "The mailbox exists but receives mail faster than its server allows.",
        _LATER,
    )
    ROLE_ACCOUNT = (
        "role_account",
        "The address belongs to a function (such as info@), not to a person.",
        "Write to it only if you want to reach a function rather than a person.",
    )
    ACCEPTS_ALL_LATER_BOUNCES = (
        "accepts_all_later_bounces",
        "The mail provider accepts every address at first and sends a bounce later.",
        "Send a single message first, and watch for a bounce.",
    )
    POSSIBLE_TYPO = (
        "possible_typo",
        "The domain looks like a misspelling of a well-known one.",
        "Compare the domain's spelling with the company's website.",
    )
    DISPOSABLE = (
        "disposable",
        "The domain provides disposable addresses, which work for minutes.",
        "Ask the person for a permanent address.",
    )

    # The name or the address is not usable.
    NAME_UNUSABLE = (
        "name_unusable",
        "The name contains no letters to build an address from.",
        "Give the person's name in letters.",
    )
    DOMAIN_UNUSABLE = (
        "domain_unusable",
        "The contact's domain is missing or is not a domain name.",
        "Give the domain of the company's mail or website.",
    )
    NOT_A_COMPANY_DOMAIN = (
        "not_a_company_domain",
        "Anybody can have mail, a profile or a short link at this domain: it is no company's, and was not asked.",
        "Give the domain of the company that the person works for.",
    )
    COMPANY_UNKNOWN = (
        "company_unknown",
        "The company is not in your list of companies.",
        "Add the company to your list of companies, or give the contact's domain.",
        True,
    )
    SYNTAX = (
        "syntax",
        "The address is not a valid e-mail address (RFC 5321).",
        "Correct the address, or leave it out and give a name and a domain.",
    )
    NO_EMAIL = (
        "no_email",
        "The contact has no address to verify.",
        "Give an address, or choose the preset full_pipeline to have it looked up.",
    )

    # The domain takes no mail.
    NO_SUCH_DOMAIN = (
        "no_such_domain",
        "The domain does not exist.",
        "Correct the domain: compare it with the company's website.",
    )
    NO_MAIL_SERVER = (
        "no_mail_server",
        "The domain exists but has no mail server.",
        _FIND_MAIL_DOMAIN,
    )
    NULL_MX = (
        "null_mx",
        "The domain states that it takes no mail (RFC 7505).",
        _FIND_MAIL_DOMAIN,
    )
    UNUSABLE_MAIL_HOST = (
        "unusable_mail_host",
        "The domain's mail server has a private or reserved address, which is never contacted.",
        "Find the domain that the company sends mail from; this one is misconfigured.",
    )

    # The mail server refuses the address.
    NO_SUCH_MAILBOX = (
        "no_such_mailbox",
        "The domain's mail server says that there is no such mailbox.",
        "Leave the address out and have the contact looked up: the person may have another one.",
    )
    EVERY_CANDIDATE_REFUSED = (
        "every_candidate_refused",
        "The domain's mail server refused every likely address for this name.",
        "Check the name and whether the person still works there; add a middle or former name.",
    )
    NAMESAKES = (
        "namesakes",
        "The only address that exists may belong to any of several contacts with similar names.",
        "Add middle names or nicknames to those contacts, or an address that you know of one of them.",
    )
    MAILBOX_DISABLED = (
        "mailbox_disabled",
        "The mailbox exists but is disabled: the person has probably left.",
        "Find out where the person works now.",
    )

    # It could not be determined whether the mailbox exists.
    GREYLISTED = (
        "greylisted",
        "The mail server asks unknown senders to try again later.",
        _LATER,
        True,
    )
    RATE_LIMITED = (
        "rate_limited",
        "The mail server says that it was asked too often.",
        _LATER,
        True,
    )
    BLOCKED = (
        "blocked",
        "The mail server refuses our IP address, host name or sender.",
        "Have the operator check our reverse DNS and blocklists (growth doctor), then send the contact again.",
        True,
    )
    POLICY = (
        "policy",
        "The mail server's policy is not to say whether a mailbox exists.",
        _ASK_OTHER_SOURCE,
    )
    SERVER_UNREACHABLE = (
        "server_unreachable",
        "No mail server of the domain could be reached.",
        "Have the operator check that port 25 is open (growth doctor), then send the contact again.",
        True,
    )
    SERVER_UNCLEAR = (
        "server_unclear",
        "The mail server's reply does not tell whether the mailbox exists.",
        _ASK_OTHER_SOURCE,
        True,
    )
    DNS_FAILURE = (
        "dns_failure",
        "The domain's name servers did not answer.",
        _LATER,
        True,
    )
    TIME_LIMIT = (
        "time_limit",
        "The time limit for one contact passed.",
        _LATER,
        True,
    )

    # The account does not want to contact the address.
    SUPPRESSED = (
        "suppressed",
        "The address or its domain is on your suppression list: no server was asked, and it costs nothing.",
        "Nothing to do, unless it should not be on the list: then remove it there.",
    )

    # Sources beyond the mail server.
    UNKNOWN_TO_SOURCES = (
        "unknown_to_sources",
        "Neither the domain's mail server nor any of your sources gave an address.",
        "Check the name and the domain, or configure another source.",
    )
    OUT_OF_BUDGET = (
        "out_of_budget",
        "A paid look-up would have exceeded the budget.",
        "Raise the budget for paid look-ups, then send the contact again.",
        True,
    )
    PROVIDER_UNAVAILABLE = (
        "provider_unavailable",
        "A provider gave no usable answer. Asking it again is not paid twice.",
        _LATER,
        True,
    )
    PROVIDER_OUT_OF_CREDIT = (
        "provider_out_of_credit",
        "A provider says that your credit there is used up.",
        "Top up your credit with the provider, then send the contact again.",
        True,
    )
    PROVIDER_KEY_REJECTED = (
        "provider_key_rejected",
        "A provider rejects your API key.",
        "Have the operator correct the provider's key, then send the contact again.",
        True,
    )
    ANSWER_LOST = (
        "answer_lost",
        "A provider's answer was lost, and asking again could be paid twice (docs/how-to/ask-other-sources.md).",
        "Look the person up with the provider by hand.",
    )

    # Faults of the engine.
    INTERNAL_ERROR = (
        "internal_error",
        "An error in the engine kept it from working this contact.",
        "Report it with the run's id: the worker's log has the details.",
        True,
    )
    RUN_STOPPED = (
        "run_stopped",
        "The run ended before this contact was worked.",
        "Retry the run: it continues where it ended.",
    )


class Outcome(NamedTuple):
    """The conclusion of one stage about one contact.

    `email` is the address that the outcome is about, if there is one. `source` names where the address came from:
    `input` (supplied with the contact), `known` (found by an earlier run of the account), `pattern` (follows the
    domain's known pattern, confirmed by its server), `permutation` (a ranked candidate, confirmed by its server),
    `inferred` (follows the domain's pattern, at a catch-all server that could not confirm it), `directory` (the user's
    own file of people) or the name of a provider. `score` runs from 0 (surely wrong) to 100 (surely right).
    """

    position: int
    status: OutcomeStatus
    reason: Reason
    email: str | None = None
    source: str | None = None
    score: int = 0
    evidence: Evidence = NO_EVIDENCE

    def to_json(self) -> dict[str, Any]:
        return {
            "position": self.position,
            "status": self.status,
            "reason": self.reason,
            "email": self.email,
            "source": self.source,
            "score": self.score,
            "evidence": {} if self.evidence is NO_EVIDENCE else self.evidence.to_json(),
        }


class Deferral(NamedTuple):
    """A stage's request to work a contact again after `seconds`; no worker is held meanwhile.

    The stage decides by `Contact.deferrals` how often it defers a contact. In the end it owes an outcome.
    """

    position: int
    seconds: float
    reason: Reason
