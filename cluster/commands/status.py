"""`status`: what runs, and what the registry calls champion."""

from __future__ import annotations

from cluster.commands.printing import print_plain, printable
from cluster.commands.running import Command, Result
from cluster.progress import Progress
from cluster.runs.config import CommandConfig


def run(_config: CommandConfig, _progress: Progress) -> Result:
    """Ask the endpoint and the registry."""
    from cluster.endpoint.status import run_status

    return run_status()


def show(result: Result) -> None:
    """What runs and what the aliases name."""
    endpoint = result["endpoint"]
    if endpoint is None:
        print_plain("endpoint   not running")
    else:
        state = "ready" if endpoint["ready"] else f"not ready ({endpoint.get('reason', 'no release')})"
        print_plain(f"endpoint   {endpoint['url']} {state}, release {endpoint.get('release')}")
    unreadable = {one["id"] for one in result["unreadable"]}
    for alias, release in sorted(result["aliases"].items()):
        passed = "gate passed" if result["gates"][release] else "gate NOT passed"
        print_plain(f"{alias}  {release}, " + ("its text CANNOT BE READ" if release in unreadable else passed))
    for one in result["overrides"]:
        print_plain(f"override   {one['release']}: {one['command']}, {one['date'][:10]}: {one['reason']}")
    if (last := result["deployment"]) is not None:
        print_plain(f"deployment {last['release']}, begun {last['began_at']}: {last['step']}")
    for one in result["unreadable"]:
        print_plain(printable(f"unreadable {one['id']} of {one['name']} cannot be read: {one['reason']}"))
    for one in result["disagreements"]:
        print_plain(printable(f"DISAGREE   {one['what']}; {one['mend']}"))


COMMAND = Command(CommandConfig, run, show)
