"""The closed set of things that can be said about one contact by one stage.

An outcome is written once: `(run_id, stage, position)` is its primary key. What it says is a status from
`OutcomeStatus`, a reason from `Reason`, and the evidence that led there.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple


class OutcomeStatus(StrEnum):
    """What a stage concluded about a contact."""

    FOUND = "found"
    """`email_lookup` has an address for this contact."""
    NOT_FOUND = "not_found"
    """`email_lookup` has none; the reason says why."""
    VALID = "valid"
    """`email_verify`: mail to this address would arrive."""
    RISKY = "risky"
    """`email_verify`: the server takes mail for it, but there is a reason to be careful."""
    INVALID = "invalid"
    """`email_verify`: mail to it would bounce."""
    UNKNOWN = "unknown"
    """`email_verify` could not find out; the reason says why."""
    SKIPPED = "skipped"
    """There was nothing for the stage to work on: the contact has no address."""


class Reason(StrEnum):
    """Why: one word per cause, the same in table, code, log, export and gap report."""

    # an address was found, or mail would arrive
    INPUT = "input"
    MAILBOX_EXISTS = "mailbox_exists"
    PROVIDED = "provided"
    # there is something to be careful about
    CATCH_ALL = "catch_all"
    MAILBOX_FULL = "mailbox_full"
    MAILBOX_BUSY = "mailbox_busy"
    ROLE_ACCOUNT = "role_account"
    ACCEPTS_ALL_LATER_BOUNCES = "accepts_all_later_bounces"
    POSSIBLE_TYPO = "possible_typo"
    DISPOSABLE = "disposable"
    # the name or the address is not usable
    NAME_UNUSABLE = "name_unusable"
    DOMAIN_UNUSABLE = "domain_unusable"
    COMPANY_UNKNOWN = "company_unknown"
    SYNTAX = "syntax"
    NO_EMAIL = "no_email"
    # the domain takes no mail
    NO_SUCH_DOMAIN = "no_such_domain"
    NO_MAIL_SERVER = "no_mail_server"
    NULL_MX = "null_mx"
    UNUSABLE_MAIL_HOST = "unusable_mail_host"
    # the server says no
    NO_SUCH_MAILBOX = "no_such_mailbox"
    EVERY_CANDIDATE_REFUSED = "every_candidate_refused"
    NAMESAKES = "namesakes"
    MAILBOX_DISABLED = "mailbox_disabled"
    # nobody could tell
    GREYLISTED = "greylisted"
    RATE_LIMITED = "rate_limited"
    BLOCKED = "blocked"
    POLICY = "policy"
    SERVER_UNREACHABLE = "server_unreachable"
    SERVER_UNCLEAR = "server_unclear"
    DNS_FAILURE = "dns_failure"
    TIME_LIMIT = "time_limit"
    # the account does not want to know
    SUPPRESSED = "suppressed"
    # sources beyond the mail server
    UNKNOWN_TO_SOURCES = "unknown_to_sources"
    OUT_OF_BUDGET = "out_of_budget"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    PROVIDER_OUT_OF_CREDIT = "provider_out_of_credit"
    PROVIDER_KEY_REJECTED = "provider_key_rejected"
    ANSWER_LOST = "answer_lost"
    # ours
    INTERNAL_ERROR = "internal_error"
    RUN_STOPPED = "run_stopped"


REASON_SENTENCES: Mapping[Reason, str] = {
    Reason.INPUT: "The contact brought this address.",
    Reason.MAILBOX_EXISTS: "The domain's mail server accepts this address and refuses an invented one.",
    Reason.PROVIDED: "A source beyond the domain's mail server gave this address.",
    Reason.CATCH_ALL: "The domain's mail server accepts every address, so its yes proves nothing.",
    Reason.MAILBOX_FULL: "The mailbox exists but is over its quota: try again in some days.",
    Reason.MAILBOX_BUSY: "The mailbox exists but gets mail faster than it may: try again later.",
    Reason.ROLE_ACCOUNT: "The address belongs to a function (such as info@), not to a person.",
    Reason.ACCEPTS_ALL_LATER_BOUNCES: "The mail provider accepts every address at first and sends a bounce later.",
    Reason.POSSIBLE_TYPO: "The domain's name looks like a slip of a well-known one: check its spelling.",
    Reason.DISPOSABLE: "The domain hands out addresses that live for minutes.",
    Reason.NAME_UNUSABLE: "The name holds no letters that an address could be made of: correct the name.",
    Reason.DOMAIN_UNUSABLE: "The contact's domain is missing or is not a domain name: correct it.",
    Reason.COMPANY_UNKNOWN: "The company is not in your list of companies: add it there, or give the contact's domain.",
    Reason.SYNTAX: "The address is not a valid e-mail address (RFC 5321): correct it.",
    Reason.NO_EMAIL: "The contact has no address to verify.",
    Reason.NO_SUCH_DOMAIN: "The domain does not exist: check its spelling.",
    Reason.NO_MAIL_SERVER: "The domain exists but has no mail server: find the domain it uses for mail.",
    Reason.NULL_MX: "The domain states that it takes no mail (RFC 7505): find the domain it uses for mail.",
    Reason.UNUSABLE_MAIL_HOST: "The domain's mail server has a private or reserved address, which is never contacted.",
    Reason.NO_SUCH_MAILBOX: "The domain's mail server says that there is no such mailbox.",
    Reason.EVERY_CANDIDATE_REFUSED: "The domain's mail server refused every likely address for this name.",
    Reason.NAMESAKES: "Several contacts of like names may own the only address that exists: add middle names.",
    Reason.MAILBOX_DISABLED: "The mailbox exists but is disabled: the person has probably left.",
    Reason.GREYLISTED: "The mail server asks every stranger to come back later: run it again in an hour.",
    Reason.RATE_LIMITED: "The mail server says that it was asked too often: run it again later.",
    Reason.BLOCKED: "The mail server refuses our address: check its reverse DNS and blocklists.",
    Reason.POLICY: "The mail server refuses to answer as a matter of policy.",
    Reason.SERVER_UNREACHABLE: "No mail server of the domain could be reached: check that port 25 is open to you.",
    Reason.SERVER_UNCLEAR: "The mail server's answer settles nothing.",
    Reason.DNS_FAILURE: "The domain's name servers gave no answer: run it again later.",
    Reason.TIME_LIMIT: "The time limit for one contact passed: run it again later.",
    Reason.SUPPRESSED: "The address or its domain is on your suppression list: nobody was asked, it costs nothing.",
    Reason.UNKNOWN_TO_SOURCES: "Neither the domain's mail server nor any of your sources gave an address.",
    Reason.OUT_OF_BUDGET: "A paid look-up would have cost more than the budget allows: raise it, and run it again.",
    Reason.PROVIDER_UNAVAILABLE: "A provider gave no usable answer: run it again later; it is not paid twice.",
    Reason.PROVIDER_OUT_OF_CREDIT: "A provider says that your credit there is used up: top it up, and run it again.",
    Reason.PROVIDER_KEY_REJECTED: "A provider rejects your key: correct it in the environment, and run it again.",
    Reason.ANSWER_LOST: "A provider's answer was lost, and asking again could be paid twice: see docs/providers.md.",
    Reason.INTERNAL_ERROR: "This record met a fault of ours; the worker's log names the run and the position.",
    Reason.RUN_STOPPED: "The run ended before this contact was worked: retry the run.",
}


class Outcome(NamedTuple):
    """What one stage says about one contact.

    `email` is the address the statement is about (none when nothing was found). `source` names where an
    address came from: `input` (the contact brought it), `known` (an earlier run of the account found it),
    `pattern` (the domain's known pattern, confirmed by its server), `permutation` (a ranked candidate, confirmed by
    its server), `inferred` (the domain's pattern gives it, its catch-all server could not confirm it), `directory`
    (the user's own file of people) or the name of a provider. `score` runs from 0 (surely wrong) to 100 (surely right).
    `evidence` is JSON-ready; for an address found by asking it holds at least `pattern`, `confidence` (the chance that
    it was given before it was confirmed), `meaning`, `mail_host`, `reply_code`, `reply_text`, `catch_all` and
    `asked_at` (ISO 8601, UTC).
    """

    position: int
    status: OutcomeStatus
    reason: Reason
    email: str | None = None
    source: str | None = None
    score: int = 0
    evidence: Mapping[str, Any] = {}


class Deferral(NamedTuple):
    """ "Ask again later": a stage says nothing about the contact yet.

    The record is worked again after `seconds`, without holding a worker meanwhile. How often that may happen
    is for the stage to decide, by `Record.deferrals`; in the end it owes an outcome.
    """

    position: int
    seconds: float
    reason: Reason
