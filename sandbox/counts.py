"""Counts of what arrives at the sandbox's servers, readable from any thread."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock


@dataclass(frozen=True, slots=True)
class HostCounts:
    """The counts of one mail host. `commands` maps an SMTP verb such as `RCPT` to the number of times it arrived."""

    connections: int
    most_at_once: int
    commands: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Counts:
    """A copy of the counts at one moment; `recipients` counts RCPT commands by the recipient's domain."""

    dns_queries: int
    recipients: Mapping[str, int]
    hosts: Mapping[str, HostCounts]

    def commands(self, verb: str) -> int:
        """The number of times that a verb arrived at any mail host."""
        return sum(host.commands.get(verb, 0) for host in self.hosts.values())


@dataclass(slots=True)
class _HostTally:
    connections: int = 0
    most_at_once: int = 0
    commands: Counter[str] = field(default_factory=Counter)


class Tally:
    """Counts while the servers run: they write from their thread, a test reads from another."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: Counter[str] = Counter()
        self._clear()

    def _clear(self) -> None:
        self._dns_queries = 0
        self._recipients: Counter[str] = Counter()
        self._hosts: dict[str, _HostTally] = {}

    def dns_query(self) -> None:
        with self._lock:
            self._dns_queries += 1

    def connection_opened(self, host: str) -> None:
        with self._lock:
            self._open[host] += 1
            tally = self._host(host)
            tally.connections += 1
            tally.most_at_once = max(tally.most_at_once, self._open[host])

    def connection_closed(self, host: str) -> None:
        with self._lock:
            self._open[host] -= 1

    def command(self, host: str, verb: str) -> None:
        with self._lock:
            self._host(host).commands[verb] += 1

    def recipient(self, domain: str) -> None:
        with self._lock:
            self._recipients[domain] += 1

    def read(self) -> Counts:
        """Return the counts. Hosts and domains without a query are missing."""
        with self._lock:
            hosts = {
                name: HostCounts(tally.connections, tally.most_at_once, dict(tally.commands))
                for name, tally in self._hosts.items()
            }
            return Counts(self._dns_queries, dict(self._recipients), hosts)

    def reset(self) -> None:
        """Start again from zero. Connections that are open count towards the next `most_at_once`."""
        with self._lock:
            self._clear()

    def _host(self, name: str) -> _HostTally:
        return self._hosts.setdefault(name, _HostTally())
