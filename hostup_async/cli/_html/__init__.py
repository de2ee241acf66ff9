"""The HTML report of a run: one file that needs nothing else, and no network.

`page` fills the template with the `figures`, the `charts` and the `rows` of the table. The charts
draw the `timeline` of the run along an `axis`, which shortens long interruptions.
"""

from collections.abc import Sequence

from hostup_async import AuditRecord, ConfigurationError, Entry, RunRecord


def render(run: RunRecord, entries: Sequence[Entry], audit: Sequence[AuditRecord]) -> str:
    """Draw a run as a page: to be read, searched, printed and sent on.

    The page is text without lone surrogates, to be written as UTF-8; it holds no key.

    Args:
        run: The run, with its plan and its policy.
        entries: Its entries, in the order of the plan.
        audit: Its audit trail, oldest first. Its stops, the operator's pauses and those that a
            429 began are drawn, each with its name.

    Raises:
        ConfigurationError: The extra `hostup[report]` is not installed.
    """
    try:
        from hostup_async.cli._html.page import write_page  # noqa: PLC0415 - an extra, slow to import
    except ImportError as error:
        msg = "A report needs more packages: pip install 'hostup[report]'."
        raise ConfigurationError(msg) from error
    return write_page(run, entries, audit)
