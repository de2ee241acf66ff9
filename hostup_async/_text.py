"""Foreign text made harmless: in messages, on a terminal, on a page."""


def clean(text: str, limit: int = 500) -> str:
    """A server's text for an error message: no control characters or lone surrogates, and short."""
    short = text[:limit].encode("utf-8", "replace").decode("utf-8", "replace")
    return "".join(c if c.isprintable() else " " for c in short).strip()


def printable(text: object) -> str:
    r"""A text from the API or from a file for a terminal: nothing in it is a control character.

    Example:
        >>> printable("web\x1b[2J-1")
        'web?[2J-1'
    """
    return "".join(one if one.isprintable() else "?" for one in str(text))


def visible(text: str) -> str:
    r"""A text from anywhere for a page: control characters and lone surrogates are spelt out.

    Example:
        >>> visible("a\x1b[31m\u202eb")
        'a\\x1b[31m\\u202eb'
    """
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text
    )
