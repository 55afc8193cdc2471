"""Finds the domain where a company takes mail, if a website is all that is known.

A website is often a host below the company's domain (`en.`, `shop.`, `www2.`) that takes no mail. Then the registrable
domain counts, if that takes mail. A host with mail servers of its own stays as it is.
"""

import asyncio
from collections.abc import Iterable, Mapping

from pipeline.mail.address.registrable import registrable_domain
from pipeline.mail.dns.routes import MailRoute
from pipeline.mail.network import MailNetwork
from pipeline.outcomes import Reason

_TAKES_NO_MAIL = frozenset({Reason.NO_MAIL_SERVER, Reason.NO_SUCH_DOMAIN, Reason.NULL_MX})


async def mail_domains(domains: Iterable[str], network: MailNetwork) -> Mapping[str, str]:
    """Return the domain above for each of these that takes no mail itself.

    What the DNS does not say in time is left out. The routes that are found meanwhile are kept, and not asked
    for again.
    """
    above = {
        each: over for each in domains if each.count(".") > 1 and (over := registrable_domain(each)) not in (None, each)
    }
    tasks = {
        asyncio.ensure_future(_takes_mail_above(each, over, network)): (each, over) for each, over in above.items()
    }
    if not tasks:
        return {}
    done, late = await asyncio.wait(tasks, timeout=network.config.dns_timeout)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    return dict(tasks[task] for task in done if task.result())


async def _takes_mail_above(domain: str, above: str, network: MailNetwork) -> bool:
    route = await network.route(domain)
    if route.problem not in _TAKES_NO_MAIL and not _is_its_own_host(route):
        return False
    over = await network.route(above)
    # A host that has only an address may take mail, too; so the domain above must say where it takes its mail.
    return over.problem is None and (route.problem is not None or not _is_its_own_host(over))


def _is_its_own_host(route: MailRoute) -> bool:
    """Whether it has no MX record, so that its own address counts (RFC 5321 5.1)."""
    return route.problem is None and route.mail_host == route.domain
