"""What tox reads of combinations, beside what the project's own configuration says."""

from collections.abc import Callable, Iterable, Mapping
from configparser import ConfigParser
from typing import TYPE_CHECKING, Any

from tox.config.loader.ini import IniLoader
from tox.config.loader.section import Section
from tox.config.of_type import ConfigDynamicDefinition
from tox.config.types import EnvList
from tox.tox_env.python.pip.req_file import PythonDeps

from tox_pegboard.combinations import ini_lines

if TYPE_CHECKING:
    from types import UnionType

    from tox.config.loader.api import ConfigLoadArgs
    from tox.config.loader.convert import Factory
    from tox.config.main import Config
    from tox.config.sets import ConfigSet

ALIASES = {"env_list": ("env_list", "envlist")}
"""Other words of tox for a key."""


ADDED = ("deps", "env_list", "labels")
"""The keys to which values are added; of all others the project's own value has precedence."""


class CombinationLoader(IniLoader):
    """Reads lines as tox reads them in a tox.ini: what is in braces is replaced.

    It stands before the loaders of the project, and asks them first.
    """

    def __init__(
        self,
        conf: "ConfigSet",
        section: Section,
        values: Mapping[str, Iterable[str]],
        applies: Callable[[], bool],
    ) -> None:
        """Prepare it; `values` has lines for each key, which count where `applies` returns true."""
        parser = ConfigParser(interpolation=None)
        parser["values"] = {key: "\n".join(ini_lines(lines)) for key, lines in values.items()}
        # Not the section of the project: tox would take one that is read twice for a circle.
        own = Section(section.prefix, f"{section.name} of [tool.pegboard.matrix]")
        super().__init__(own, parser, [], Section(None, "tox"), section_key="values")
        self._conf = conf
        self._applies = applies

    def load(
        self,
        key: str,
        of_type: "type[Any] | UnionType",
        factory: "Factory[Any]",
        conf: "Config | None",
        args: "ConfigLoadArgs",
        all_keys: Iterable[str] = (),
    ) -> Any:
        """Return a value of the project, or of the combination, or both. Raises `KeyError`."""
        raw = self.load_raw(key, conf, args.env_name)  # first: to know what applies, tox reads keys
        if not self._applies():
            raise KeyError(key)
        own = self.build(key, of_type, factory, conf, raw, args)
        if conf is None:  # as tox reads options of its own, for which there is no combination
            return own
        others = [loader for loader in self._conf.loaders if loader is not self]
        keys = ALIASES.get(key, (key, *all_keys))
        definition = ConfigDynamicDefinition[Any](keys, "", of_type, None, factory=factory)
        said = definition(conf, others, args)
        if said is None or key not in ADDED:
            return own if said is None else said
        match own:
            case PythonDeps():
                return PythonDeps("\n".join((*said.lines(), *own.lines())), conf.core["tox_root"])
            case EnvList():
                return EnvList([*dict.fromkeys((*said, *own))])
            case _:
                return {*said, *own}


def add_loader(
    conf: "ConfigSet",
    section: Section,
    values: Mapping[str, Iterable[str]],
    applies: Callable[[], bool] = lambda: True,
) -> None:
    """Let tox read these lines, too, for each key that has some.

    `applies` is asked when a value is read, as tox knows the rest of the configuration only then.
    """
    kept = {key: lines for key, lines in values.items() if lines}
    conf.loaders.insert(0, CombinationLoader(conf, section, kept, applies))
