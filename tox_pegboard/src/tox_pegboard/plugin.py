"""The plugin of tox: an environment for each combination of `[tool.pegboard.matrix]`.

No list of them is kept: tox asks for their names each time. A project without the table is left
as it is.
"""

import shlex
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from tox.config.loader.memory import MemoryLoader
from tox.config.of_type import ConfigDynamicDefinition
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
        names = self._matrix.by_name
        _change(core_conf, "env_list", lambda one: EnvList([*dict.fromkeys((*one, *names))]))

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
        _change(env_conf, "labels", lambda labels: {*labels, *environment.labels})
        if environment.deps:
            root = state.conf.core["tox_root"]
            _change(
                env_conf,
                "deps",
                lambda deps: PythonDeps("\n".join((*deps.lines(), *environment.deps)), root),
            )
        env_conf["set_env"].update(environment.set_env, override=False)


def _change(conf: ConfigSet, key: str, change: Callable[[Any], Any]) -> None:
    """Change a value when it is loaded, which it must not have been yet."""
    for definition in conf.get_configs():
        if key in definition.keys and isinstance(definition, ConfigDynamicDefinition):
            definition.post_process = partial(_changed, change, definition.post_process)


def _changed(change: Callable[[Any], Any], before: Callable[[Any], Any] | None, value: Any) -> Any:
    return change(before(value) if before else value)


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
