"""`growth credits`: what the account of the API key has.

As in `cli.main`, modules that are slow to load are imported where they are used.
"""

from cli.client import ApiClient, find_credentials
from cli.options import HOME, AsJson, Home
from cli.terminal import say, write_json


def show_credits(home: Home = HOME, as_json: AsJson = False) -> None:
    """Show the balance of the account, and what its runs hold."""
    with ApiClient(find_credentials(home)) as client:
        now = client.read_credits()
    if as_json:
        write_json(now)
    else:
        say(f"{now['balance']} credits to spend; runs that are not over hold {now['held']}.")
