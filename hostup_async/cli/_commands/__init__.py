"""The commands and their options.

`app` is the program, with `power` (reset, restart, ...), `fleet` (with the commands on a run that
is `at_work`), `limit` and `read`; `option_groups` are the options that several commands share, and
`help` shows them in sections. Imports nothing that `--help` does not need; what a command does is
in `_work`.
"""
