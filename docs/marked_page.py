"""What the scripts have in common that write parts of a page from the source.

A part stands between `<!-- KIND: OWNER -->`, or `<!-- KIND -->`, and `<!-- end -->`. With `--check`
nothing is written; the exit status says whether the page is current.
"""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class MarkedPage:
    """A page of which parts are written."""

    path: Path
    kind: str
    """What its parts are, as in `settings`."""
    part: Callable[[str], str]
    """Returns the part of an owner, as `core`; of an empty one if the mark names none."""

    def owners(self) -> list[str]:
        """Return the owners of the parts, in the order of the page."""
        return [mark["owner"] or "" for mark in self._marked.finditer(self._read())]

    def current(self) -> str:
        """Return the page as it should be."""
        return self._marked.sub(
            lambda mark: mark["begin"] + self.part(mark["owner"] or "") + mark["end"], self._read()
        )

    def is_current(self) -> bool:
        """Return whether the page is as it should be."""
        return self.current() == self._read()

    def main(self) -> None:
        """Write or check."""
        if self.is_current():
            return
        if "--check" in sys.argv:
            sys.exit(f"Not current: {self.path.name}; run this script.")
        self.path.write_text(self.current(), encoding="utf-8")
        print(f"{self.path.name} written")

    @property
    def _marked(self) -> re.Pattern[str]:
        begin = rf"<!-- {self.kind}(?:: (?P<owner>[\w.]+))? -->\n"
        return re.compile(rf"(?P<begin>{begin}).*?(?P<end><!-- end -->)", re.DOTALL)

    def _read(self) -> str:
        return self.path.read_text(encoding="utf-8")
