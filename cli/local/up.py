"""`growth up`: runs the whole engine on this machine, until Ctrl-C."""

import signal
import threading
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from rich.console import Console

from cli.client import CREDENTIALS_FILE
from cli.home import locked_home
from cli.local.ports import exact_port, free_port
from cli.local.stack import Ports, Stack, check_settings, running_stack
from cli.terminal import say

API_PORT = 8000
SANDBOX_CONTACTS = 1000
GREYLIST_S = 2.0
SANDBOX_CONTACTS_FILE = "sandbox-contacts.csv"
DEFER_SECONDS = "3,6"
"""The sandbox's mail servers greylist for seconds, real ones for minutes, which is too long for a demo."""


def run_up(console: Console, home: Path, port: int | None, workers: int, *, with_sandbox: bool) -> None:
    """Start everything, print how to use it, and wait. Without a port: the usual one, or another if that is taken."""
    with ExitStack() as stack:
        check_settings()
        place = stack.enter_context(locked_home(home))
        ports = Ports(api=free_port(API_PORT) if port is None else exact_port(port))
        if port is None and ports.api != API_PORT:
            say(f"Port {API_PORT} is taken: the API gets port {ports.api}.", style="yellow", to=console)
        say("Starting PostgreSQL, Valkey, workers, sweeper, API and Flower...", to=console)
        settings = _sandbox_settings(stack, place, console) if with_sandbox else {}
        running = stack.enter_context(running_stack(place, ports, workers=workers, settings=settings))
        _say_how_to_use(console, home, running, home / SANDBOX_CONTACTS_FILE if with_sandbox else Path("contacts.csv"))
        wait_for_interrupt(running)
        console.print("\nStopping...")


def wait_for_interrupt(running: Stack) -> None:
    """Wait for Ctrl-C or SIGTERM. Raises `ProcessEnded` if a process of the engine ends before."""
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, stop)
    while not stopping.wait(1):
        running.engine.check()


def _sandbox_settings(stack: ExitStack, home: Path, console: Console) -> dict[str, str]:
    # The libraries of the sandbox are optional: production does not install them.
    from sandbox.csv_files import write_contacts_csv
    from sandbox.domains import invent_domains
    from sandbox.internet import Internet
    from sandbox.people import invent_people

    domains = invent_domains(seed=1)
    people = invent_people(1, SANDBOX_CONTACTS, domains)
    path = home / SANDBOX_CONTACTS_FILE
    write_contacts_csv(people, path)
    internet = stack.enter_context(Internet(people, domains, greylist_seconds=GREYLIST_S))
    say(f"A small internet on loopback is running. Contacts to try: {path}", to=console)
    return {**internet.settings(), "DEFER_SECONDS": DEFER_SECONDS}


def _say_how_to_use(console: Console, home: Path, running: Stack, contacts: Path) -> None:
    # Only on a terminal: in a file the key would stay.
    key = running.credentials.api_key if console.is_terminal else f"in {home / CREDENTIALS_FILE}"
    lines = (
        f"Page     {running.credentials.api_url}/  (sign in with the API key; the API's docs are at /docs)",
        f"API key  {key}",
        f"Flower   {running.flower_url}",
        f"Logs     {running.engine.log_dir}",
        f"Submit   growth submit {contacts} --watch{'' if home == Path('.growth') else f' --home {home}'}",
        "Stop     Ctrl-C",
    )
    say("\n".join(lines), to=console)
