"""Flags and arguments of a command, made from the fields of its config: a flag is written once, where it is used.

A flag hands on the text that was given, and nothing where it was not: so the value of a `--config` file holds, and the
config alone says what is refused, in the same words for flags and files. What the file sets can be taken out: a switch
by its `--no-` form, a setting that has no value by default by `none`. A field that is a table, such as the limits of
the gate, is set in the file only.
"""

from __future__ import annotations

from enum import Enum
from functools import partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cluster.commands.running import Command, run_command

Subcommands = dict[str, tuple[Command[Any], str]]  # name -> (command, help)
NONE = "none"  # given to a flag whose setting may be without a value
_CONFIG_HELP = (
    "TOML file with the command's settings, or the config.json of a run, which is repeated into another --out. "
    f"Flags override it; --no-FLAG, or '{NONE}' for a setting that has no value by default, takes out what it sets."
)


def as_click(name: str, command: Command[Any] | Subcommands, help_text: str) -> click.Command:
    """A command, or a group of them, as click has it."""
    if not isinstance(command, Command):
        parts = [as_click(part, one, its_help) for part, (one, its_help) in command.items()]
        return click.Group(name, commands=parts, help=help_text, no_args_is_help=True)
    fields: dict[str, FieldInfo] = command.config.model_fields
    tables = {key: field for key, field in fields.items() if _is_table(field)}
    flags = [_option(key, field) for key, field in fields.items() if key not in (*command.positional, *tables)]
    return click.Command(
        name,
        params=[*(_argument(key, fields[key]) for key in command.positional), *flags, *_common()],
        callback=partial(_call, command),
        help=help_text,
        epilog="".join(f"[{key}], in a --config file only: {field.description}" for key, field in tables.items()),
    )


def _call(command: Command[Any], *, as_json: bool, config_file: Path | None, dry_run: bool, **given: Any) -> None:
    fields = command.config.model_fields
    flags = {
        key: None if _takes_out(value, fields[key]) else value
        for key, value in given.items()
        if value not in (None, ())
    }
    run_command(command, flags, config_file, dry_run=dry_run, as_json=as_json)


def _takes_out(value: Any, field: FieldInfo) -> bool:
    return value in (NONE, (NONE,)) and field.default in (None, (), {})


def _common() -> list[click.Parameter]:
    """What every command has."""
    file = click.Path(path_type=Path)
    return [
        click.Option(["--json", "as_json"], is_flag=True, help="Machine-readable result on stdout."),
        click.Option(["--config", "config_file"], type=file, help=_CONFIG_HELP),
        click.Option(["--dry-run"], is_flag=True, help="Say what would be done and stop; asks nobody, writes nothing."),
    ]


def _argument(key: str, field: FieldInfo) -> click.Argument:
    """Not required here: a `--config` file may name it."""
    return click.Argument([key], required=False, nargs=-1 if _kind_of(field).is_many else 1, help=_help(field))


def _option(key: str, field: FieldInfo) -> click.Option:
    flag = key.replace("_", "-")
    kind = _kind_of(field)
    if kind.of is bool:
        names = f"--{flag}/--{flag.removeprefix('no-')}" if flag.startswith("no-") else f"--{flag}/--no-{flag}"
        return click.Option([names, key], is_flag=True, default=None, help=_help(field))
    return click.Option(
        [f"--{flag}", key], multiple=kind.is_many, default=None, metavar=_metavar(kind.of), help=_help(field)
    )


def _help(field: FieldInfo) -> str:
    """The description, and what holds where nothing is given."""
    default = field.default
    if field.is_required():
        return f"{field.description}  [required]"
    if isinstance(default, str | int | float) and not isinstance(default, bool):
        return f"{field.description}  [default: {default}]"
    return f"{field.description}  [default: yes]" if default is True else str(field.description)


def _metavar(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"[{'|'.join(get_args(kind))}]"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"[{'|'.join(str(member.value) for member in kind)}]"
    return {int: "INTEGER", float: "NUMBER", Path: "PATH"}.get(kind, "TEXT")


class _Kind(NamedTuple):
    """What a field's values are; `is_many` where a flag may be repeated."""

    of: Any
    is_many: bool


def _kind_of(field: FieldInfo) -> _Kind:
    """The type without None, constraints, and the tuple that holds several; a mapping is given entry by entry."""
    kind, is_many = field.annotation, False
    while True:
        origin, parts = get_origin(kind), [part for part in get_args(kind) if part not in (NoneType, ...)]
        is_many = is_many or origin in (tuple, dict)
        if (origin in (Union, UnionType) and len(parts) == 1) or origin in (Annotated, tuple):
            kind = parts[0]
        else:
            return _Kind(kind, is_many)


def _is_table(field: FieldInfo) -> bool:
    kind = _kind_of(field).of
    return isinstance(kind, type) and issubclass(kind, BaseModel)
