"""What documents lack of settings and hooks; the grade and the contract of plugins ask here."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol


class Setting(Protocol):
    """What is asked of a setting."""

    @property
    def key(self) -> str:
        """The key in `app.config`."""

    @property
    def variable(self) -> str:
        """The environment variable."""

    @property
    def doc(self) -> str:
        """What it means, for operators."""


def names(text: str, name: str) -> bool:
    """Return whether a text has a name as a word of its own, and not as a part of another."""
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None


def undocumented_settings(
    settings: Iterable[Setting], plugin: str, texts: str | None, pages: str
) -> Iterator[str]:
    """Yield what to do where a setting is not explained, or no text names it.

    `pages` is what the author calls the texts; None are texts that are not at hand.
    """
    for one in settings:
        setting = f"the setting {one.variable} of {plugin}"
        if len(one.doc.split()) < 2:  # noqa: PLR2004 - a word is no explanation
            yield (
                f'{setting} does not say what it means: write setting(..., doc="...") with one '
                "line for operators"
            )
        if texts is not None and not (names(texts, one.variable) or names(texts, one.key)):
            yield f"{setting} is not documented: name it in {pages}"


def undocumented_hooks(
    docstrings: Mapping[str, str], plugin: str, texts: str | None, pages: str
) -> Iterator[str]:
    """Yield what to do where a hook has no docstring, or no text names it; texts as above."""
    for name, docstring in docstrings.items():
        hook = f"the hook {name} of {plugin}"
        if not docstring.strip():
            yield f"{hook} has no docstring: say when it is called, and what it returns"
        if texts is not None and not names(texts, name):
            yield f"{hook} is not documented: name it in {pages}"
