"""The commands and their options.

Imports nothing that `--help` does not need; what a command does is in `_work`.
"""
