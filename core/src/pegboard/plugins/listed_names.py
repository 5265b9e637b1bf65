"""Names in the lists of settings about plugins that no plugin has."""

from collections.abc import Collection, Iterator

from pegboard.plugins.discovery import installed_plugins
from pegboard.problems import Code, Problem
from pegboard.settings import CoreSettings, Unused, nearest_name


def check_listed_names(
    core: CoreSettings, active: Collection[str], known: Collection[str]
) -> tuple[list[Problem], list[Unused]]:
    """Return what is wrong with the names in `PLUGINS_DISABLED` and `PLUGINS_POLICY`.

    A name that resembles the one of an `active` plugin is a problem: what was meant would not be
    done to that plugin. Another that is not `known` is only told of, as several deployments with
    different plugins may share these lists.
    """
    problems: list[Problem] = []
    unused: list[Unused] = []
    for setting, names in _lists(core):
        absent = names - {*active, *known}
        if absent:
            absent -= {plugin.name for plugin in installed_plugins()}
        for name in sorted(absent):
            if near := nearest_name(name, {*active} - names):
                summary = f"{setting} names {name}, which is not installed"
                problems.append(
                    Problem(Code.PLUGIN_NOT_INSTALLED, summary, f"Did you mean {near}?")
                )
            else:
                reason = "no plugin of this name is installed"
                unused.append(Unused(f"{name} in {setting}", reason, is_warned=True))
    return problems, unused


def _lists(core: CoreSettings) -> Iterator[tuple[str, set[str]]]:
    yield "PEGBOARD_PLUGINS_DISABLED", {*core.plugins_disabled}
    yield "PEGBOARD_PLUGINS_POLICY", {*core.plugins_policy} - {"*"}
