"""The plugin of tox: an environment for each combination of `[tool.pegboard.matrix]`.

No list of them is kept: tox asks for their names each time. A project without the table is left
as it is.
"""

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tox.config.loader.memory import MemoryLoader
from tox.config.sets import ConfigSet, EnvConfigSet
from tox.config.types import EnvList
from tox.plugin import impl
from tox.report import HandledError
from tox.session.state import State
from tox.tox_env.python.pip.req_file import PythonDeps

from tox_pegboard.combinations import (
    Matrix,
    MatrixError,
    environment_of,
    has_matrix,
    parse_name,
    read_matrix,
    read_pyproject,
)

if TYPE_CHECKING:
    from pathlib import Path


class Combinations:
    """The hooks, and the matrix of the project of which tox reads the configuration."""

    def __init__(self) -> None:
        self._matrix: Matrix | None = None
        self._asked: list[str] = []

    @impl
    def tox_extend_envs(self) -> Iterator[str]:
        """Yield the names of the environments.

        tox iterates when it has read its configuration, and so after `tox_add_core_config`.
        """
        if self._matrix is not None:
            yield from dict.fromkeys((*self._matrix.by_name, *self._asked))

    @impl
    def tox_add_core_config(self, core_conf: ConfigSet, state: State) -> None:
        """Read the matrix, and add its environments to those that tox runs by default.

        One that `env_list` names keeps its place there.
        """
        root: Path = core_conf["tox_root"]
        try:
            pyproject = read_pyproject(root)
            self._matrix = read_matrix(root) if has_matrix(pyproject) else None
            self._asked = [*_combinations_asked_for(self._matrix, state)]
        except MatrixError as error:
            raise HandledError(str(error)) from error
        if self._matrix is None:
            return
        listed: EnvList = core_conf["env_list"]
        names = [*dict.fromkeys((*listed, *self._matrix.by_name))]
        for definition in core_conf.get_configs():
            if "env_list" in definition.keys:
                definition.overwrite(EnvList(names))

    @impl
    def tox_add_env_config(self, env_conf: EnvConfigSet, state: State) -> None:
        """Configure the environment of a combination, also of one that is not in the matrix.

        What the project says for it, or for every environment, has precedence; to dependencies and
        variables is added what makes it the environment of its combination.
        """
        matrix = self._matrix
        if matrix is None:
            return
        name = str(env_conf.env_name)
        try:
            found = matrix.by_name.get(name) or parse_name(name, matrix.space)
            if found is None:
                return
            environment = environment_of(found, matrix.space, matrix.settings)
        except MatrixError as error:
            message = f"{name}: {error}"
            raise HandledError(message) from error
        arguments = shlex.join(state.conf.pos_args(None) or ())
        commands = [one.replace("{posargs}", arguments) for one in environment.commands]
        values: dict[str, Any] = {"description": environment.description, "commands": commands}
        env_conf.loaders.append(MemoryLoader(**values))
        labels: set[str] = {*env_conf["labels"], *environment.labels}
        dependencies = [*env_conf["deps"].lines(), *environment.deps]
        for definition in env_conf.get_configs():
            if "labels" in definition.keys:
                definition.overwrite(labels)
            elif "deps" in definition.keys:
                definition.overwrite(
                    PythonDeps("\n".join(dependencies), state.conf.core["tox_root"])
                )
        env_conf["set_env"].update(environment.set_env, override=False)


def _combinations_asked_for(matrix: Matrix | None, state: State) -> Iterator[str]:
    """Yield the names behind `-e` that are combinations, in the matrix or beyond it."""
    asked = getattr(state.conf.options, "env", None)
    if matrix is None or asked is None or asked.is_all or asked.is_default_list:
        return
    for name in asked:
        if name in matrix.by_name or parse_name(name, matrix.space) is not None:
            yield name


PLUGIN = Combinations()
"""What the entry point names."""
