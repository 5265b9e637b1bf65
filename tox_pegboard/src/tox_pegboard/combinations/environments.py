"""What the environment of a combination installs, sets and runs."""

from dataclasses import dataclass

from tox_pegboard.combinations.cores import lowest_core
from tox_pegboard.combinations.names import first_factor, name_of
from tox_pegboard.combinations.settings import Settings
from tox_pegboard.combinations.values import Combination, Space, is_folder


@dataclass(frozen=True)
class Environment:
    """A tox environment."""

    name: str
    description: str
    labels: tuple[str, ...]
    """Names by which tox selects it, as in `tox run -m matrix`."""
    deps: tuple[str, ...]
    """Lines of requirements; none if commands of the project's own install."""
    set_env: dict[str, str]
    commands: tuple[str, ...]
    """Lines, in which `{posargs}` stands for arguments behind `--`."""


def environment_of(combination: Combination, space: Space, settings: Settings) -> Environment:
    """Return the environment of a combination. Raises `MatrixError` if no core fits it."""
    name = name_of(combination, space)
    set_env = {
        "PEGBOARD_TEST_SUBSET": " ".join(
            [*(plugin.name for plugin in space.own), *combination.plugins]
        )
    }
    if len(space.axes["database"]) > 1:
        set_env["PEGBOARD_TEST_DATABASE"] = combination.database
    if len(space.axes["redis"]) > 1:
        set_env["PEGBOARD_TEST_REDIS"] = combination.redis
    return Environment(
        name,
        _description(combination, space),
        ("matrix", f"matrix-{name.partition('-')[0]}"),
        _deps(combination, space, settings) if settings.install else (),
        set_env,
        settings.commands,
    )


def required_folders(space: Space, settings: Settings) -> tuple[str, ...]:
    """Return the folders of the plugins that the project's own requires.

    No package index may have these, so that the own one cannot be installed without them.
    """
    if not settings.install:
        return ()
    required = space.with_needs(())
    return tuple(
        plugin.requirement
        for plugin in space.plugins
        if plugin.name in required and is_folder(plugin.requirement)
    )


def _description(combination: Combination, space: Space) -> str:
    others = ", ".join(combination.plugins) or "no other plugin"
    axes = [
        f"{axis} {value}"
        for axis, value in combination.values.items()
        if axis != "python" and len(space.axes[axis]) > 1
    ]
    return "; ".join([f"{first_factor(space)} with {others}", *axes])


def _deps(combination: Combination, space: Space, settings: Settings) -> tuple[str, ...]:
    wanted = {*combination.plugins}
    plugins = [plugin.requirement for plugin in space.plugins if plugin.name in wanted]
    return (*settings.deps, _core(combination, space, settings), *plugins)


def _core(combination: Combination, space: Space, settings: Settings) -> str:
    match combination.core:
        case "lowest":
            return f"pegboard=={lowest_core(combination, space)}"
        case "newest" if settings.newest == "pegboard":
            return "pegboard>=0.dev0"  # a specifier that names a pre-release lets it be taken
        case "newest":
            return settings.newest
        case _:
            return "pegboard"
