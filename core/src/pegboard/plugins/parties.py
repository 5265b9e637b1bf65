"""Collisions have two parties: which of the two plugins a collision is laid on."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from pegboard.plugins.discovery import Candidate
from pegboard.plugins.origin import join_places
from pegboard.problems import Code, Problem


@dataclass(frozen=True)
class Collision:
    """Something that two plugins, or a plugin and the core, both want to have."""

    code: Code
    later: Candidate
    """The plugin that comes later in the order of the plugins."""
    earlier: Candidate | None
    """The other plugin; None is the core."""
    later_summary: str
    """What is wrong if it is laid on the later plugin; it may name the earlier one."""
    earlier_summary: str | None = None
    """What is wrong if it is laid on the earlier plugin; None if that reads the same."""
    change: str = "Rename it in {name}"
    """What the author of a plugin does about it, without a full stop.

    `name` is the plugin's, or those of both.
    """
    later_place: str = ""
    """Where the later plugin has it, as `locate_function` says it; empty if that is not known."""
    earlier_place: str = ""
    """Where the earlier one has it."""

    def problem(self, party: Candidate) -> Problem:
        """Return the collision as a problem of one of its parties."""
        name = party.name
        is_of_two = self.earlier not in (None, self.later)
        if self.earlier is not None and is_of_two:
            # Which of the two was there first is not known.
            name = f"one of the two, {self.later.name} or {self.earlier.name}"
        hint = self.change.format(name=name)
        if is_of_two:
            hint += (
                ", or disable one of the two plugins" if hint else "Disable one of the two plugins"
            )
        summary = self.later_summary
        if party is not self.later:
            summary = self.earlier_summary or summary
        places = [self.later_place, self.earlier_place]
        place = join_places(places if party is self.later else places[::-1])
        return party.problem(self.code, summary + place, f"{hint}.")


def titled(owner: Candidate | None) -> str:
    """Return what messages call the owner of something."""
    return f"plugin {owner.title}" if owner else "the core"


def settle(
    collisions: Iterable[Collision], skippable: Collection[str], failed: Iterable[str] = ()
) -> list[Problem]:
    """Lay each collision on one of its plugins, so that few plugins are left out.

    It is one that is left out for another reason, else one that may be skipped, else the later
    one. `skippable` are the names of the plugins without which the service may start, `failed` of
    those that have other problems.
    """
    problems = []
    left_out = {*failed}
    # Those that leave no choice come first, as they decide others.
    for collision in sorted(collisions, key=lambda one: len(_choices(one, skippable))):
        choices = _choices(collision, skippable)
        decided = [party for party in choices if party.name in left_out]
        party = (decided or choices or [collision.later])[0]
        if choices:
            left_out.add(party.name)
        problems.append(collision.problem(party))
    return problems


def _choices(collision: Collision, skippable: Collection[str]) -> list[Candidate]:
    parties = [collision.later]
    if collision.earlier not in (None, collision.later):
        parties.append(collision.earlier)
    return [party for party in parties if party.name in skippable]
