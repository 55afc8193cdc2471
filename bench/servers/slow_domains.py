"""How long mail servers take, as on the real network: most answer soon, some late, a few very late."""

import hashlib
import heapq
from collections.abc import Iterable

CONVERSATIONS = 400
"""At once in all: two worker processes of 200 each."""
SHARES = ((80, 0.3), (95, 2.0), (100, 15.0))
"""Below so many percent, the seconds of a conversation."""


def conversation_seconds(domain: str) -> float:
    """What a conversation with the domain's mail server takes: always the same for one domain."""
    draw = int(hashlib.sha256(domain.encode()).hexdigest()[:6], 16) % 100
    return next(seconds for below, seconds in SHARES if draw < below)


def best_possible_s(domains: Iterable[str], conversations: int = CONVERSATIONS) -> float:
    """What one conversation with each domain takes if they begin in order, and none ever waits but for its turn."""
    busy_until = [0.0] * conversations
    for domain in domains:
        heapq.heapreplace(busy_until, busy_until[0] + conversation_seconds(domain))
    return max(busy_until)
