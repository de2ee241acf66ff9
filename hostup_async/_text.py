"""Foreign text made harmless: for messages, for a terminal, for a page."""


def clean(text: str, limit: int = 500) -> str:
    """A server's text made harmless: no control characters or lone surrogates, and short."""
    short = text[:limit].encode("utf-8", "replace").decode("utf-8", "replace")
    return "".join(c if c.isprintable() else " " for c in short).strip()


def printable(text: object) -> str:
    r"""A text of the API's or of a file's, safe to print: nothing in it commands a terminal.

    Example:
        >>> printable("web\x1b[2J-1")
        'web?[2J-1'
    """
    return "".join(one if one.isprintable() else "?" for one in str(text))
