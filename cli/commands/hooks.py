"""`growth hooks`, which uses the API.

As in `cli.main`, modules that are slow to load are imported where they are used.
"""

from typing import Annotated, Any, Literal

import typer

from cli.client import ApiClient, find_credentials
from cli.options import HOME, AsJson, Home
from cli.terminal import say, write_json

hooks = typer.Typer(no_args_is_help=True, help="Hooks: URLs that are notified of runs.")

HookId = Annotated[str, typer.Argument(metavar="HOOK", help="Its id, as `growth hooks list` shows it.")]
Events = Annotated[
    list[str] | None,
    typer.Option(
        "--event",
        help="run.completed, run.failed, run.cancelled, run.progress or contact.finished; repeatable.",
        show_default="the three ends of a run",
    ),
]
State = Literal["pending", "delivered", "dead", "replayed", "skipped"]


@hooks.command("add")
def add(
    url: Annotated[str, typer.Argument(help="Where messages are posted.")],
    events: Events = None,
    named: Annotated[bool, typer.Option("--named", help="Only for runs that name it.")] = False,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    home: Home = HOME,
    as_json: AsJson = False,
) -> None:
    """Add a hook and print its secret, once."""
    given: dict[str, Any] = {"url": url, "runs": "named" if named else "all", "description": description}
    with ApiClient(find_credentials(home)) as client:
        added = client.add_hook(given | ({"events": events} if events else {}))
    if as_json:
        write_json(added)
    else:
        say(f"Hook {added['hook_id']}.")
        _say_secret(added["secret"])


@hooks.command("list")
def list_hooks(home: Home = HOME, as_json: AsJson = False) -> None:
    """List hooks, oldest first."""
    with ApiClient(find_credentials(home)) as client:
        found = client.hooks()
    if as_json:
        write_json(found)
        return
    for hook in found:
        say(f"{hook['hook_id']}  {_state_of(hook)}, {hook['runs']} runs, {' '.join(hook['events'])}: {hook['url']}")
    if not found:
        say("No hooks.")


@hooks.command("change")
def change(
    hook_id: HookId,
    url: Annotated[str | None, typer.Option(help="Another URL.")] = None,
    events: Events = None,
    enable: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Deliver again, or deliver nothing.")
    ] = None,
    home: Home = HOME,
    as_json: AsJson = False,
) -> None:
    """Change a hook, or enable one that was disabled."""
    given = {"url": url, "events": events, "enabled": enable}
    with ApiClient(find_credentials(home)) as client:
        changed = client.change_hook(hook_id, {name: value for name, value in given.items() if value is not None})
    if as_json:
        write_json(changed)
    else:
        say(f"Hook {changed['hook_id']}: {_state_of(changed)}, {' '.join(changed['events'])}.")


@hooks.command("rotate")
def rotate(
    hook_id: HookId,
    overlap_hours: Annotated[
        float, typer.Option(min=0, max=168, help="Hours for which the present secret signs as well.")
    ] = 24,
    home: Home = HOME,
    as_json: AsJson = False,
) -> None:
    """Give a hook a new secret and print it, once."""
    with ApiClient(find_credentials(home)) as client:
        rotated = client.rotate_hook(hook_id, overlap_hours)
    if as_json:
        write_json(rotated)
        return
    _say_secret(rotated["secret"])
    if overlap_hours:
        say(f"For {overlap_hours:g} hours messages are signed with the former secret, too.")


@hooks.command("remove")
def remove(hook_id: HookId, home: Home = HOME) -> None:
    """Delete a hook, its log, and what is still to be delivered."""
    with ApiClient(find_credentials(home)) as client:
        client.delete_hook(hook_id)
    say("The hook is deleted.")


@hooks.command("deliveries")
def deliveries(
    hook_id: HookId,
    state: Annotated[State | None, typer.Option(help="Only those in this state.")] = None,
    run: Annotated[str, typer.Option(help="Only those of this run.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="How many to list.")] = 50,
    home: Home = HOME,
    as_json: AsJson = False,
) -> None:
    """List what was delivered, newest first, and what came of each last attempt."""
    wanted = {name: value for name, value in {"state": state, "run_id": run}.items() if value}
    with ApiClient(find_credentials(home)) as client:
        found = client.deliveries(hook_id, limit, **wanted)
    if as_json:
        write_json(found)
        return
    for each in found:
        problem = each["log"][-1]["problem"] if each["log"] else ""
        what = f"{each['event']} of run {each['run_id']}, {each['state']}, attempts: {each['attempts']}"
        say(f"{each['delivery_id']}  {each['created_at'][:19]}  {what}" + (f"; {problem}" if problem else ""))
    if not found:
        say("No deliveries.")


@hooks.command("replay")
def replay(
    hook_id: HookId,
    delivery: Annotated[str, typer.Argument(help="Its id, as `growth hooks deliveries` shows it.")] = "",
    dead: Annotated[bool, typer.Option("--dead", help="All that are dead.")] = False,
    run: Annotated[str, typer.Option(help="With --dead: only those of this run.")] = "",
    home: Home = HOME,
    as_json: AsJson = False,
) -> None:
    """Deliver again: one delivery, or all that are dead."""
    if bool(delivery) == dead:
        raise typer.BadParameter("give a delivery, or --dead for all that are dead.")
    total, is_left = 0, True
    with ApiClient(find_credentials(home)) as client:
        while is_left:
            done = client.replay(hook_id, delivery, run)
            total, is_left = total + done["replayed"], done["more"]
    if as_json:
        write_json({"replayed": total})
    else:
        say(f"Delivered again within seconds: {total}.")


def _state_of(hook: dict[str, Any]) -> str:
    if hook["enabled"]:
        return "failing" if hook["failing_since"] else "enabled"
    return f"disabled ({hook['disabled_reason']})" if hook["disabled_reason"] else "disabled"


def _say_secret(secret: str) -> None:
    say(f"Its secret, shown this once: {secret}")
