"""The combinations that the tests of this repository run in."""

import configparser
from pathlib import Path

from tox_pegboard.combinations import read_matrix

ROOT = Path(__file__).parents[3]
BESIDE_ALL_OTHERS = {"observe"}
"""Those that have an environment of their own, in which all others are, not twice the subsets."""


def test_every_subset_of_our_plugins_has_an_environment() -> None:
    """Of all in `plugins/` but those that observe the others, on every Python that we support."""
    matrix = read_matrix(ROOT)
    folders = {path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml")}
    folders -= BESIDE_ALL_OTHERS

    assert folders == {one.requirement.rpartition("/")[2] for one in matrix.space.plugins}
    assert matrix.has_all_subsets
    assert 2 ** len(folders) * len(matrix.space.axes["python"]) == len(matrix.combinations)


def test_environments_that_are_named_for_their_order_exist() -> None:
    """One with a mistake in its name would be made by tox, and test something else."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "tox.ini", encoding="utf-8")
    named = {
        name.replace(f"{{{versions}}}", version)
        for name in parser["tox"]["env_list"].split()
        if name.startswith("py")
        for versions in [name.partition("{")[2].partition("}")[0]]
        for version in versions.split(",")
    }

    assert named
    assert named <= {*read_matrix(ROOT).by_name}
