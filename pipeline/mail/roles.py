"""Local parts that stand for a function, not a person (RFC 2142 and common use)."""
# ruff: noqa: SIM905 - a block of words is easier to read and to extend than a list of strings

ROLES = frozenset(
    """
    abuse accounting accounts admin administration administrator anfrage apply billing booking bookings buero
    business career careers compliance contact contacto contact-us contactus customerservice customer-service
    data datenschutz dev developer developers devops dpo editor email enquiries enquiry events facturation
    feedback finance ftp gdpr general hello help helpdesk hi hostmaster hr human-resources info infos
    information inquiries inquiry investors invoice invoices it jobs kontakt legal mail mailer-daemon marketing
    media membership moderator news newsletter no-reply noc noreply notifications office operations ops order
    orders partner partners payments postmaster pr press presse privacy purchasing recruiting recruitment
    reception registrar reservations returns root sales security service services shop spam staff subscribe
    support sysadmin team tech techsupport test ticket tickets training unsubscribe usenet uucp vendor verkauf
    vertrieb webmaster welcome www
    """.split()
)


def is_role(local_part: str) -> bool:
    """Say whether a local part belongs to a function, whatever `+tag` or digits follow it."""
    return local_part.lower().partition("+")[0].rstrip("0123456789") in ROLES
