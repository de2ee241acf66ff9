"""Docstrings in sync form: the words stay, the examples lose their `await` and `async`."""

import re
from collections import Counter
from typing import Final

RULES: Final = {
    "parentheses around an await": (r"(?<![\w)\]])\(await ([\w.]+\([^()]*\))\)", r"\1"),
    "await": (r"\bawait ", ""),
    "async def": (r"\basync def\b", "def"),
    "async for": (r"\basync for\b", "for"),
    "aclose": (r"\baclose\b", "close"),
    "async with": (r"\basync with\b", "with"),
    "the package": (r"\bhostup_async\b", "hostup_sync"),
}
_LEFT_OVER: Final = re.compile(r"\b(async|await|asyncio|anyio|aclose|anext|aiter)\b")
_CODE: Final = re.compile(r"`[^`]+`")
_PROMPTS: Final = (">>>", "...")


class Docs:
    """Rewrites docstrings, and keeps count of the rules that it needed.

    Attributes:
        used: How often each rule was.
    """

    def __init__(self) -> None:
        self.used: Counter[str] = Counter()

    def rewrite(self, text: str) -> str:
        """A docstring, or its source text, in sync form.

        Raises:
            ValueError: An example has something that no rule makes sync; the message names it.
        """
        return "\n".join(map(self._line, text.split("\n")))

    def _line(self, line: str) -> str:
        if line.lstrip().startswith(_PROMPTS):
            code = self._code(line)
            if left := _LEFT_OVER.search(code):
                msg = f"no rule makes {left[0]!r} sync in the example {code.strip()!r}"
                raise ValueError(msg)
            return code
        return _CODE.sub(lambda found: self._code(found[0]), line)

    def _code(self, code: str) -> str:
        for name, (pattern, replacement) in RULES.items():
            code, count = re.subn(pattern, replacement, code)
            if count:
                self.used[name] += count
        return code


def described(docstring: str | None, attribute: str) -> str | None:
    """What a class's docstring says first of an attribute, or of the argument that it keeps."""
    for title in ("Attributes:\n", "Args:\n"):
        _, _, section = (docstring or "").partition(title)
        section = section.partition("\n\n")[0]
        found = re.search(rf"^( +){attribute}: (.+(?:\n\1 +.+)*)", section, re.MULTILINE)
        if found:
            first = re.split(r"[;.](?: |$)", " ".join(found[2].split()))[0]
            return f"{first}."
    return None


def summary(docstring: str | None) -> str | None:
    """Its first line."""
    return docstring.partition("\n")[0] if docstring else None
