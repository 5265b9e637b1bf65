"""The singular of English plurals, for what one row of several is called.

A name may be a singular already: what looks like a plural and is none stays as it is. Libraries
take the last letter of `analysis`, `alias` and `virus`.
"""

import re

_SAME = frozenset(
    """
    abdomen acumen alias analytics atlas aws axis bias biceps canvas chaos clothes cms corps
    cosmos crossroads debris dns economics electronics ethics forceps gas genetics gis goods gps
    graphics headquarters https ios iris kudos lens lms logistics mathematics means metropolis
    news omen optics os pants physics politics pos praxis redis regimen robotics scissors series
    sms species specimen stamen tennis thanks timeseries tls trellis trousers
    """.split()  # noqa: SIM905 - a list would have a line for each word
)
"""Words that end in `s` and are a singular, or are the same in the plural."""

_IN_E = frozenset(
    """
    abuse aloe avalanche beanie birdie bookie brownie caddie calorie canoe cliche collie cookie
    coterie crevasse cutie die doe excuse fiche finesse floe foe foodie freebie fuse genie
    goalie goodie groupie hippie hoe hoodie horseshoe hypotenuse indie junkie laddie lie magpie
    microfiche mistletoe misuse mousse movie muse necktie newbie niche oboe oldie pastiche pie
    pixie prairie quiche recluse reuse reverie roadie roe rookie ruse selfie shoe smoothie
    snowshoe sortie sweetie talkie techie tie tiptoe toe tranche use veggie woe zombie
    """.split()  # noqa: SIM905 - a list would have a line for each word
)
"""Words whose `e` is their own, though the endings of their plurals are those of words without."""

_IRREGULAR = {
    "algae": "alga",
    "alumnae": "alumna",
    "alumni": "alumnus",
    "antennae": "antenna",
    "appendices": "appendix",
    "axes": "axis",
    "bacteria": "bacterium",
    "cacti": "cactus",
    "codices": "codex",
    "corpora": "corpus",
    "corpses": "corpse",
    "cpus": "cpu",
    "crises": "crisis",
    "criteria": "criterion",
    "curricula": "curriculum",
    "dice": "die",
    "emphases": "emphasis",
    "emus": "emu",
    "errata": "erratum",
    "feet": "foot",
    "fezzes": "fez",
    "foci": "focus",
    "fungi": "fungus",
    "geese": "goose",
    "genera": "genus",
    "gnus": "gnu",
    "gpus": "gpu",
    "gurus": "guru",
    "helices": "helix",
    "indices": "index",
    "larvae": "larva",
    "lice": "louse",
    "loci": "locus",
    "matrices": "matrix",
    "media": "medium",
    "memoranda": "memorandum",
    "men": "man",
    "menus": "menu",
    "mice": "mouse",
    "nuclei": "nucleus",
    "oases": "oasis",
    "oxen": "ox",
    "passersby": "passerby",
    "phenomena": "phenomenon",
    "poses": "pose",
    "quizzes": "quiz",
    "radii": "radius",
    "schemata": "schema",
    "skus": "sku",
    "spectra": "spectrum",
    "stimuli": "stimulus",
    "strata": "stratum",
    "submenus": "submenu",
    "syllabi": "syllabus",
    "synopses": "synopsis",
    "teeth": "tooth",
    "topazes": "topaz",
    "vertebrae": "vertebra",
    "vertices": "vertex",
    "vortices": "vortex",
    "women": "woman",
}

_ENDINGS = (
    # The first few are those of compounds, too, as in `bookshelves`.
    ("people", "person"),
    ("children", "child"),
    ("(?<=.)men", "man"),
    ("(cal|dwar|hal|lea|loa|scar|sel|shea|shel|thie|whar|wol|^el|^hoo)ves", r"\1f"),
    ("(afterli|kni|wi|^li)ves", r"\1fe"),
    ("([^aeiou]|qu)ies", r"\1y"),
    ("oes", "o"),
    ("(?<![ao])uses", "us"),
    ("(gno|ly|the)ses", r"\1sis"),
    ("((?:[eo]a|ee|ou|[inrt])ch|sh|ss|tz|x|zz)es", r"\1"),
    ("(?<=[^s])(?<!it)is", "i"),
    ("eaus", "eau"),
    ("(?<=[a-z0-9])(?<![isu])s", ""),
)
"""Endings of plurals and singulars; the first that fits counts."""


def singular(name: str) -> str:
    """Return what one of several is called, as far as the letters of an English plural tell."""
    before, underscore, word = name.rpartition("_")
    return f"{before}{underscore}{_singular_of(word)}"


def _singular_of(word: str) -> str:
    if word in _SAME:
        return word
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.removesuffix("s") in _IN_E:
        return word.removesuffix("s")
    if word.removesuffix("es") in _SAME:
        return word.removesuffix("es")
    for ending, instead in _ENDINGS:
        found, count = re.subn(f"(?:{ending})$", instead, word)
        if count:
            return found
    return word
