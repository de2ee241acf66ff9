"""Helps that can be read: options by what they are about, commands by what they do, and examples.

Typer groups options only with rich, which draws boxes, cuts what is long and costs 0.1 s. This is
plain text, the same on a terminal and in a pipe.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

_WIDEST: Final = 100  # characters; longer lines are hard to read
_CONTEXT: Final = {"help_option_names": ["-h", "--help"], "max_content_width": _WIDEST}
_OTHER: Final = "Options"
_ORDER: Final = ("Selection", "Bounds", "Confirmation", "Output", "Connection", _OTHER)


class _GroupedCommand(TyperCommand):
    """A command whose options are shown by their panels."""

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - click's, which Typer may hide
        """Write the arguments and the options."""
        by_panel: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                is_argument = parameter.param_type_name == "argument"
                panel = "Arguments" if is_argument else _panel(parameter, _OTHER)
                by_panel.setdefault(panel, []).append(record)
        for panel in ("Arguments", *_ORDER):
            _write(formatter, panel, by_panel.get(panel, []))


class _GroupedGroup(TyperGroup):
    """A group whose commands are shown by their panels."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - click's, which Typer may hide
        """Write the commands with their first lines."""
        names = self.list_commands(ctx)
        longest = max(map(len, names), default=0)
        found = [(name, command) for name in names if (command := self.get_command(ctx, name))]
        shown = [(name, command) for name, command in found if not command.hidden]
        room = formatter.width - 6 - longest
        by_panel: dict[str, list[tuple[str, str]]] = {}
        for name, command in shown:
            line = name, command.get_short_help_str(room)
            by_panel.setdefault(_panel(command, "Commands"), []).append(line)
        for panel, lines in by_panel.items():
            _write(formatter, panel, lines)


def _panel(shown: object, otherwise: str) -> str:
    """What Typer notes of where a command or an option is shown."""
    panel = getattr(shown, "rich_help_panel", None)
    return panel if isinstance(panel, str) else otherwise


def _write(formatter: Any, title: str, lines: list[tuple[str, str]]) -> None:  # noqa: ANN401 - likewise
    if lines:
        with formatter.section(title):
            formatter.write_dl(lines)


class Commands(typer.Typer):
    """A group of commands with such helps."""

    def __init__(self, help: str | None = None) -> None:  # noqa: A002 - as Typer calls it
        super().__init__(
            cls=_GroupedGroup,
            help=help,
            no_args_is_help=True,
            rich_markup_mode=None,
            pretty_exceptions_enable=False,  # they print locals, and a local may hold a key
            context_settings=_CONTEXT,
        )

    def command(  # type: ignore[override] # noqa: D417 - the others are Typer's
        self,
        name: str | None = None,
        *,
        examples: Iterable[str] = (),
        **options: Any,  # noqa: ANN401 - Typer's
    ) -> Callable[[Callable[..., None]], Callable[..., None]]:
        """Add a command.

        Args:
            examples: Lines for the end of its help.
        """
        lines = "\n".join(f"  {line}" for line in examples)
        chosen: dict[str, Any] = {"cls": _GroupedCommand, "context_settings": _CONTEXT, **options}
        if lines:
            chosen["epilog"] = f"\b\nExamples:\n{lines}"
        return super().command(name, **chosen)
