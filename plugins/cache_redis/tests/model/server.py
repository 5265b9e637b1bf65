"""What a server does with a command."""

from .rules import Rules
from .state import NOTHING, Cell, Command, Verb


def hit(cell: Cell, rules: Rules) -> int:
    """The value a reader is given, or NOTHING."""
    valid = cell.value_generation == cell.generation and not cell.group_fences
    unmarked = not cell.generation and not cell.group_fences and not rules.absent_marker_is_miss
    return cell.value if valid or unmarked else NOTHING


def execute(cell: Cell, command: Command, rules: Rules, new_generation: int) -> tuple[int, Cell]:
    """The reply, 0 if refused, and what the server holds then."""
    match command.verb:
        case Verb.FENCE:
            return 1, _fence(cell, command)
        case Verb.RELEASE:
            return 1, _release(cell, command, rules)
        case Verb.LEASE:
            return _lease(cell, command, rules, new_generation)
        case Verb.FILL:
            return _fill(cell, command, rules)


def _fence(cell: Cell, command: Command) -> Cell:
    if command.group:
        fences = tuple(sorted({*cell.group_fences, command.token}))
        return cell._replace(generation=0, group_fences=fences)
    fences = tuple(sorted({*cell.fences, command.token}))
    return cell._replace(value=NOTHING, value_generation=0, lease=0, fences=fences)


def _release(cell: Cell, command: Command, rules: Rules) -> Cell:
    def kept(fences: tuple[int, ...]) -> tuple[int, ...]:
        lifted = (each for each in fences if each != command.token)
        return tuple(lifted) if rules.release_keeps_fences else ()

    if command.group:
        cell = cell._replace(group_fences=kept(cell.group_fences))
        return cell._replace(generation=0) if rules.release_erases else cell
    cell = cell._replace(fences=kept(cell.fences))
    return (
        cell._replace(value=NOTHING, value_generation=0, lease=0) if rules.release_erases else cell
    )


def _lease(cell: Cell, command: Command, rules: Rules, new_generation: int) -> tuple[int, Cell]:
    if cell.group_fences or cell.fences or cell.lease or hit(cell, rules) != NOTHING:
        return 0, cell
    generation = cell.generation or new_generation
    return generation, cell._replace(
        generation=generation, value=NOTHING, value_generation=0, lease=command.token
    )


def _fill(cell: Cell, command: Command, rules: Rules) -> tuple[int, Cell]:
    generation = command.generation
    if not rules.leases:
        generation = cell.generation or 1
        cell = cell._replace(generation=generation)
    elif (rules.checks_lease and cell.lease != command.token) or (
        rules.checks_generation and cell.generation != generation
    ):
        return 0, cell
    return 1, cell._replace(value=command.value, value_generation=generation, lease=0, fences=())
