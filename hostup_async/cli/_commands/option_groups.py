"""Options that several commands share: a class of them, spread into each command's own."""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any, get_type_hints

import attrs


def expand_option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """The command as typer reads it: a parameter that is an attrs class becomes its fields.

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
        for parameter in (
            _fields(groups[name]) if name in groups else [given.replace(annotation=hints[name])]
        )
    ]

    @wraps(command)
    def run(**values: Any) -> None:  # noqa: ANN401 - each option has its own type
        made = {name: _made(group, values) for name, group in groups.items()}
        command(**made, **values)

    vars(run)["__signature__"] = Signature(parameters)
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _fields(group: type[Any]) -> list[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        Parameter(one.name, Parameter.KEYWORD_ONLY, default=one.default, annotation=hints[one.name])
        for one in attrs.fields(group)
    ]


def _made(group: type[Any], values: dict[str, Any]) -> Any:  # noqa: ANN401 - one of the group
    return group(**{one.name: values.pop(one.name) for one in attrs.fields(group)})
