"""The plugin of tox: an environment for each combination of `[tool.pegboard.matrix]`.

To the other environments it adds the folders of plugins without which the project's own cannot be
installed.

No list of them is kept: tox asks for their names each time. A project without the table is left
as it is.
"""

import re
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tox.config.loader.section import Section
from tox.config.sets import ConfigSet, EnvConfigSet
from tox.plugin import impl
from tox.report import HandledError
from tox.session.state import State

from tox_pegboard.combinations import (
    Matrix,
    MatrixError,
    environment_of,
    has_matrix,
    parse_name,
    read_matrix,
    read_pyproject,
    read_space,
    required_folders,
)
from tox_pegboard.loader import add_loader


class Combinations:
    """The hooks, and the matrix of the project of which tox reads the configuration."""

    def __init__(self) -> None:
        self._matrix: Matrix | None = None
        self._names: tuple[str, ...] = ()
        self._problem: MatrixError | None = None
        self._asked: tuple[str, ...] = ()

    @impl
    def tox_extend_envs(self) -> Iterator[str]:
        """Yield the names of the environments.

        tox iterates when it has read its configuration, and so after `tox_add_core_config`; and
        not at all where it first installs itself with what `requires` says.
        """
        if self._problem is not None and not self._asks_for_others_only():
            raise HandledError(str(self._problem)) from self._problem
        if self._matrix is not None:
            for reason in self._matrix.reasons:
                # Not on standard output, which another program may read.
                sys.stderr.write(f"tox-pegboard: {reason}\n")
        yield from self._names

    @impl
    def tox_add_core_config(self, core_conf: ConfigSet, state: State) -> None:
        """Read the matrix, and add its environments to those that tox runs by default.

        One that `env_list` names keeps its place there.
        """
        root: Path = core_conf["tox_root"]
        self._asked = _environments_asked_for(state)
        try:
            self._read(root)
        except MatrixError as error:
            # It is told where the matrix is asked for: what is missing may be in `requires`.
            self._problem = error
        if self._matrix is not None:
            add_loader(core_conf, Section(None, "tox"), {"env_list": [*self._matrix.by_name]})

    @impl
    def tox_add_env_config(self, env_conf: EnvConfigSet, state: State) -> None:
        """Configure the environment of a combination, also of one that is not in the matrix.

        What the project says for it, or for every environment, has precedence; to dependencies and
        variables is added what makes it the environment of its combination.
        """
        del state
        matrix = self._matrix
        if matrix is None:
            return
        name = str(env_conf.env_name)
        try:
            found = matrix.by_name.get(name) or parse_name(name, matrix.space)
            if found is None:
                folders = required_folders(matrix.space, matrix.settings)
                applies = partial(_installs_project, env_conf)
                add_loader(env_conf, Section("testenv", name), {"deps": folders}, applies)
                return
            environment = environment_of(found, matrix.space, matrix.settings)
        except MatrixError as error:
            message = f"{name}: {error}"
            raise HandledError(message) from error
        values = {
            "description": (environment.description,),
            "labels": environment.labels,
            "deps": environment.deps,
            "commands": environment.commands,
        }
        add_loader(env_conf, Section("testenv", name), values)
        env_conf["set_env"].update(environment.set_env, override=False)

    def _read(self, root: Path) -> None:
        """Read the matrix of a project, if it has one, and what else is asked for by name."""
        if has_matrix(read_pyproject(root)):
            # Where all that runs is named, nothing has to be chosen.
            named = Matrix(*read_space(root)) if self._asked else None
            matrix = self._matrix = named or read_matrix(root)
            beyond = (name for name in self._asked if parse_name(name, matrix.space) is not None)
            self._names = tuple(dict.fromkeys((*matrix.by_name, *beyond)))

    def _asks_for_others_only(self) -> bool:
        """Return whether no name behind `-e` may be one of the matrix."""
        return bool(self._asked) and not any(re.match(r"py3\d+-", name) for name in self._asked)


def _installs_project(env_conf: EnvConfigSet) -> bool:
    """Return whether an environment is for running, and the project is installed there."""
    return "package" in env_conf and env_conf["package"] != "skip"


def _environments_asked_for(state: State) -> tuple[str, ...]:
    """Return the names behind `-e`; none where tox runs its default list, all, or by a label."""
    options = state.conf.options
    asked = getattr(options, "env", None)
    if asked is None or asked.is_all or asked.is_default_list:
        return ()
    if getattr(options, "labels", None) or getattr(options, "factors", None):
        return ()
    return tuple(asked)


PLUGIN = Combinations()
"""What the entry point names."""
