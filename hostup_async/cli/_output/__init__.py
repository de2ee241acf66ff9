"""What is shown: a live view on a terminal, lines on a pipe, JSON for programs.

`views` are the three of a run, `json_lines` the last one's schema. They share the `words` and the
bar, what a run `waits` for, its `pace`, the `format` of durations and moments, the `reasons` that
many VPSes have in common, and the `screen`. A `listing` is what the commands that read write, for
people as a `table`; `files` are written whole or not at all.
"""
