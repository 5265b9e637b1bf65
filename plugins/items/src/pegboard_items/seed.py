"""Sample items, the same each time."""

from collections.abc import Iterator
from itertools import count

_TOOLS = (
    ("claw hammer", "Drives nails and pulls them."),
    ("block plane", "Takes the edge off end grain."),
    ("tape measure", "Five meters, with a lock."),
    ("coping saw", "Turns corners in thin wood."),
    ("spirit level", "Two vials, one truth."),
    ("wood chisel", "Keep it sharp, and behind it your hand."),
    ("pipe wrench", "Grips what is round."),
    ("hand drill", "For holes where no cable reaches."),
    ("try square", "Says what is square and what is not."),
    ("staple gun", "Fixes cloth, card and wire."),
    ("putty knife", "Fills, spreads, scrapes."),
    ("socket set", "Eight to nineteen millimeters."),
    ("bar clamp", "A third hand that does not tire."),
)
_TRAITS = ("Oak", "Brass", "Red", "Small", "Spare", "Borrowed", "Heavy", "Grandfather's")
_PLACES = ("top row", "left side", "right side", "by the window", "above the bench")


def samples() -> Iterator[dict[str, str]]:
    """Yield sample items without end, all with different names."""
    for number in count():
        round_, place = divmod(number, len(_TOOLS) * len(_TRAITS))
        tool, purpose = _TOOLS[place % len(_TOOLS)]
        # The lengths of the lists have no common divisor, so each pair comes once a round.
        trait = _TRAITS[place % len(_TRAITS)]
        name = f"{trait} {tool}" + (f" no. {round_ + 1}" if round_ else "")
        yield {
            "name": name,
            "description": f"{purpose} Hangs {_PLACES[number % len(_PLACES)]}.",
        }
