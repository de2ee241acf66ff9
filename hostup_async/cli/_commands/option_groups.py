"""Groups of options that several commands share, each written once as an attrs class.

Typer knows no groups: it reads one parameter for each option. A command here has one parameter
for each group, and `expand_option_groups` shows typer the options in it. Without this, the twenty
options of a run would stand in the signature of each of the commands that take them.
"""

from collections.abc import Callable, Container
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any, get_type_hints

import attrs


def expand_option_groups(
    command: Callable[..., None], *, without: Container[str] = ()
) -> Callable[..., None]:
    """Wrap a command: each parameter that is an attrs class becomes one parameter for each field.

    The options of a class are shown in the section of the help that its `PANEL` names.

    Args:
        command: The command.
        without: Groups whose options it does not have, and which are as by default.

    Example:
        >>> @attrs.frozen
        ... class Size:
        ...     width: int = 80
        >>> def draw(*, size: Size) -> None:
        ...     print(size)
        >>> expand_option_groups(draw)(width=132)
        Size(width=132)
    """
    hints = get_type_hints(command, include_extras=True)
    names = signature(command).parameters
    groups = {name: hints[name] for name in names if attrs.has(hints[name])}
    parameters = [
        parameter
        for name, given in names.items()
        if name not in without
        for parameter in (
            _fields(groups[name]) if name in groups else [given.replace(annotation=hints[name])]
        )
    ]

    @wraps(command)
    def run(**values: Any) -> None:  # noqa: ANN401 - each option has its own type
        made = {
            name: group() if name in without else _make_group(group, values)
            for name, group in groups.items()
        }
        command(**made, **values)

    vars(run)["__signature__"] = Signature(parameters)
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _fields(group: type[Any]) -> list[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for hint in hints.values():
        for option in getattr(hint, "__metadata__", ()):
            option.rich_help_panel = getattr(group, "PANEL", None)
    return [
        Parameter(one.name, Parameter.KEYWORD_ONLY, default=one.default, annotation=hints[one.name])
        for one in attrs.fields(group)
    ]


def _make_group(group: type[Any], values: dict[str, Any]) -> Any:  # noqa: ANN401 - an instance of the group
    return group(**{one.name: values.pop(one.name) for one in attrs.fields(group)})
