"""The names of presets, stages, sources, verdicts and events, as the page shows them."""

from collections.abc import Mapping
from typing import Any

PRESETS = {"full_pipeline": "Find and verify", "verify_existing_emails": "Verify only"}
STAGES = {"email_lookup": "Find addresses", "email_verify": "Verify addresses", "compile": "Write the results"}
ENCODINGS = {
    "utf-8": "UTF-8",
    "utf-16": "UTF-16",
    "cp1252": "Windows-1252, Western Europe",
    "mac_roman": "Mac Roman",
    "cp1250": "Windows-1250, Central Europe",
    "cp1251": "Windows-1251, Cyrillic",
    "koi8_r": "KOI8-R, Cyrillic",
    "shift_jis": "Shift-JIS, Japanese",
    "gbk": "GBK, simplified Chinese",
    "big5": "Big5, traditional Chinese",
}
FIELDS = {
    "first_name": "First name",
    "last_name": "Last name",
    "full_name": "Full name",
    "domain": "Domain",
    "company": "Company",
    "email": "E-mail address",
}
STATES = {
    "pending": "Pending",
    "running": "Running",
    "completed": "Completed",
    "failed": "Failed",
    "cancelled": "Cancelled",
}
VERDICTS = {
    "valid": "Valid",
    "risky": "Risky",
    "invalid": "Invalid",
    "unknown": "Unknown",
    "unverified": "Not verified",
    "not_found": "No address",
}
SIGNS = {"unverified": "pending", "not_found": "none", "found": "pending", "skipped": "none"}
"""The icon of a verdict that has none of its own."""
SOURCES = {
    "pattern": "The domain’s known pattern",
    "permutation": "A likely address, confirmed",
    "known": "An earlier run of yours",
    "inferred": "Inferred, server accepts all",
    "input": "Brought by the contact",
    "directory": "Your own directory",
}
ENTRIES = {"grant": "Granted", "charge": "Charge", "rebate": "Given back"}
FILES = {
    "all_contacts": "All contacts",
    "verified_contacts": "Verified contacts",
    "gap_report": "Gap report",
    "run_summary": "Run summary",
    "own_rows": "Your rows",
    "rejected_rows": "Rejected rows",
}
"""The names of a run's files, but for exports: those have theirs from their format."""
KINDS = {"address": "address", "domain": "domain", "hash": "hash", "person": "person"}
SINCE = {"": "Any time", "1": "Last 24 hours", "7": "Last 7 days", "90": "Last 90 days"}


def named(names: Mapping[str, str], word: str) -> str:
    """The name of a word. One that is new here, such as a provider, stands for itself."""
    return names.get(word, word)


GLOBALS: Mapping[str, Any] = {
    "PRESETS": PRESETS,
    "STAGES": STAGES,
    "ENCODINGS": ENCODINGS,
    "FIELDS": FIELDS,
    "STATES": STATES,
    "VERDICTS": VERDICTS,
    "SIGNS": SIGNS,
    "SOURCES": SOURCES,
    "ENTRIES": ENTRIES,
    "SINCE": SINCE,
    "named": named,
}
