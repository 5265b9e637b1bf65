"""What the environment of a combination installs, sets and runs."""

from dataclasses import dataclass

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tox_pegboard.combinations.names import first_factor, name_of
from tox_pegboard.combinations.settings import Settings
from tox_pegboard.combinations.values import Combination, MatrixError, Space


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
    set_env = {"PEGBOARD_TEST_SUBSET": " ".join((*_always(space), *combination.plugins))}
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


def _always(space: Space) -> list[str]:
    return [one.name for one in space.always]


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
    plugins = [one.requirement for one in space.plugins if one.name in wanted]
    core = {
        "lowest": f"pegboard=={_lowest(combination, space)}"
        if combination.core == "lowest"
        else "",
        "released": "pegboard",
        # A specifier that names a pre-release lets installers take one.
        "newest": "pegboard>=0.dev0" if settings.newest == "pegboard" else settings.newest,
    }[combination.core]
    return (*settings.deps, core, *plugins)


def _lowest(combination: Combination, space: Space) -> str:
    """Return the lowest core that all plugins of the combination accept."""
    wanted = {*combination.plugins, *_always(space)}
    plugins = [one for one in (*space.plugins, *space.always) if one.name in wanted]
    bounds = [
        Version(one.version)
        for plugin in plugins
        for one in SpecifierSet(plugin.requires_core)
        if one.operator in (">=", "==", "~=") and "*" not in one.version
    ]
    if not bounds:
        message = (
            f"the lowest core of {', '.join(wanted) or 'no plugin'} is not known: none requires "
            "pegboard>=… of a version. Leave 'lowest' out of core, or exclude "
            "{ core = 'lowest' } for these"
        )
        raise MatrixError(message)
    return str(max(bounds))
