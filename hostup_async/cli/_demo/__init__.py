"""`hostup demo` and `hostup sandbox`.

`demo` runs a fleet on the sandbox of `home`, which outlives it; `comparison` compares what the
client says with the sandbox's own books, and `summary` shows both. `sandbox` serves one until it is
stopped, and `config` makes its settings of the options.
"""
