"""What the rules look at; each part is made once, when the first rule asks for it."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from pegboard.grading.errors import Unavailable
from pegboard.grading.imports import Import, imports_of
from pegboard.grading.started import Started, start
from pegboard.grading.subject import Subject
from pegboard.grading.suite import Suite, read_suite, run_suite
from pegboard.grading.types_check import find_type_errors

PAGES = "the readme or the pages of `docs`"
"""What an author calls the documentation that is read."""
_PAGES = frozenset({".md", ".rst", ".txt"})
"""The endings of files that are written for readers."""


class Evidence:
    """A plugin, and what can be seen of it."""

    def __init__(
        self,
        subject: Subject,
        results: Sequence[Path] = (),
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take the results of tests from reports, or run the tests if there are none.

        `tell` is called with a line before what takes long.
        """
        self.subject = subject
        self._results = results
        self._tell = tell
        self._failures: dict[str, Unavailable] = {}

    @cached_property
    def started(self) -> Started:
        """The plugin in an app. Raises `Unavailable` if it does not start."""
        found = self.start
        if found.problems:
            message = "the plugin does not start"
            raise Unavailable(message)
        return found

    @cached_property
    def start(self) -> Started:
        """The plugin in an app, or why it does not start."""
        self._tell(f"starting {self.subject.name}")
        return start(self.subject)

    @property
    def suite(self) -> Suite:
        """The results of its own tests. Raises `Unavailable` if these could not be run."""
        if self.tests.problem:
            message = "its tests were not run: own-tests tells why"
            raise Unavailable(message)
        return self.tests

    @cached_property
    def tests(self) -> Suite:
        """Its own tests. Raises `Unavailable` without source and results."""
        if "suite" in self._failures:
            raise self._failures["suite"]
        try:
            if self._results:
                return read_suite(self.subject, self._results)
            self._tell(f"running the tests of {self.subject.name}")
            return run_suite(self.subject)
        except Unavailable as error:
            self._failures["suite"] = error
            raise

    @cached_property
    def is_one_run(self) -> bool:
        """Whether the results are of a run here, and so of one environment."""
        return not self._results

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """What its modules import."""
        return tuple(imports_of(self.subject))

    @cached_property
    def type_errors(self) -> list[str]:
        """What strict mypy says."""
        self._tell(f"checking the types of {self.subject.package}")
        return find_type_errors(self.subject)

    @cached_property
    def texts(self) -> str:
        """What it tells its users: its readme, and the files and folders of `docs` in its table."""
        found = [self.subject.description]
        source = self.subject.source_folder
        if source is None:
            return found[0]
        for place in self.subject.options.docs:
            path = source / place
            pages = sorted(path.rglob("*")) if path.is_dir() else [path]
            pages = [page for page in pages if page.is_file() and page.suffix in _PAGES]
            found += [page.read_text(encoding="utf-8") for page in pages]
        return "\n".join(found)
