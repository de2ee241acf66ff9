"""The command line, `hostup`: what `hostup[cli]` installs.

`_commands` has the commands, and `_options` what several of them take, `_run_options` what those
on recorded runs do; `_inputs` makes an account,
a selection and a policy of them; `_work` does what a command does, and `_output` shows it. `_html`
draws the report of a run, and `_demo` is `hostup demo` and `hostup sandbox`. `_signals` runs a
command until it ends or is stopped, `_streams` guards what it reads and prints, and `_exits` says
with which code it ends, its errors in `_shell_words`.
"""

import sys
from importlib.util import find_spec

from hostup_async.cli._streams import open_closed_streams

_LIBRARIES = ("typer", "rich", "platformdirs", "sqlalchemy", "aiosqlite")
_NEEDS_EXTRA = "The command line needs its extra: pip install 'hostup[cli]'\n"


def main() -> None:
    """Run the command that the program's arguments name, and exit with its code."""
    open_closed_streams()
    if not all(map(find_spec, _LIBRARIES)):
        sys.stderr.write(_NEEDS_EXTRA)
        raise SystemExit(2)
    from hostup_async.cli._commands.app import app  # noqa: PLC0415 - not without the extra

    app(prog_name="hostup")
