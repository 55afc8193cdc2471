"""What a user can do about each reason of the gap report."""

from collections.abc import Mapping

LATER = "Send the contact again later, in a new run; a failed or cancelled run can be retried instead."

ADVICE: Mapping[str, str] = {
    "input": "Verify the address: choose the preset verify_existing_emails.",
    "mailbox_exists": "Use the address.",
    "provided": "Use the address once it is verified.",
    "catch_all": "Add contacts of this domain whose address you know: from three that agree the rest is inferred.",
    "mailbox_full": "Try again in some days, or reach the person by other means.",
    "mailbox_busy": LATER,
    "role_account": "Write to it only if a function, not a person, is what you want to reach.",
    "accepts_all_later_bounces": "Send a single message first, and watch for a bounce.",
    "possible_typo": "Compare the domain's spelling with the company's website.",
    "disposable": "Ask the person for an address of their own.",
    "name_unusable": "Give the person's name in letters.",
    "domain_unusable": "Give the domain of the company's mail or website.",
    "syntax": "Correct the address, or leave it out and give a name and a domain.",
    "no_email": "Give an address, or choose the preset full_pipeline to have it looked up.",
    "no_such_domain": "Correct the domain: compare it with the company's website.",
    "no_mail_server": "Find the domain that the company writes from, often its parent's.",
    "null_mx": "Find the domain that the company writes from, often its parent's.",
    "unusable_mail_host": "Find the domain that the company writes from; this one is misconfigured.",
    "no_such_mailbox": "Leave the address out and have the contact looked up: the person may have another one.",
    "every_candidate_refused": "Check the name and whether the person still works there; add a middle or former name.",
    "namesakes": "Add middle names or nicknames to those contacts, or an address that you know of one of them.",
    "mailbox_disabled": "Find out where the person works now.",
    "greylisted": LATER,
    "rate_limited": LATER,
    "blocked": "Have the operator check our reverse DNS and blocklists (growth doctor), then send the contact again.",
    "policy": "Ask a source beyond the mail server, such as a provider or a directory of your own.",
    "server_unreachable": "Have the operator check that port 25 is open (growth doctor), then send the contact again.",
    "server_unclear": "Ask a source beyond the mail server, such as a provider or a directory of your own.",
    "dns_failure": LATER,
    "time_limit": LATER,
    "internal_error": "Report it with the run's id; the worker's log tells the operator more.",
    "run_stopped": "Retry the run: it goes on where it ended.",
    "company_unknown": "Add the company to your list of companies, or give the contact's domain.",
    "unknown_to_sources": "Check the name and the domain; then there is no further source to ask.",
    "out_of_budget": "Raise the budget for paid look-ups, then send the contact again.",
    "provider_unavailable": LATER,
    "provider_out_of_credit": "Top up your credit with the provider, then send the contact again.",
    "provider_key_rejected": "Have the operator correct the provider's key, then send the contact again.",
    "answer_lost": "Look the person up with the provider by hand: asking again could be paid twice.",
    "suppressed": "Nothing: the contact is on your list of people who are not to be contacted.",
}
"""A sentence for each reason, including those of sources that may not be configured here."""
