"""What is shown: a live view on a terminal, lines on a pipe, JSON for programs.

`views` are the three, `json_lines` the last one's schema. They share the `words` and the bar, what
a run `waits` for, its `pace`, the `format` of durations and moments, and a `screen` that survives a
broken pipe.
"""
