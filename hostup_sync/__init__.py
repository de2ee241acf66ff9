"""The models and errors of `hostup_async`, as the same objects."""
