"""`hostup demo` and `hostup sandbox`."""
