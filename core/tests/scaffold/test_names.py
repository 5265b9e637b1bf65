"""The names of a new plugin."""

import re
from pathlib import Path

import pytest

from pegboard.scaffold import Names, ScaffoldError, find_names
from pegboard.scaffold.taken import FIRST_PARTY_TABLES

ROOT = Path(__file__).parents[3]


def fault(name: str, **given: str) -> str:
    """What is wrong with the names of a plugin."""
    with pytest.raises(ScaffoldError) as caught:
        find_names(name, **given)
    return str(caught.value)


def test_the_other_names_are_made_from_that_of_the_plugin():
    """And each can be given."""
    plural = "work_orders"
    expected = Names(plural, "pegboard-work-orders", "pegboard_work_orders", plural, "work_order")
    assert expected == find_names(plural)
    names = {"distribution": "acme.Notes", "package": "acme_notes", "rows": "memos", "noun": "memo"}
    assert Names("notes", *names.values()) == find_names("notes", **names)


@pytest.mark.parametrize(
    "name,noun",
    [
        ("notes", "note"),
        ("kitchen", "kitchen"),
        ("s", "s"),
        ("a_s", "a_s"),
        ("time_series", "time_series"),
        ("book_shelves", "book_shelf"),
        ("stories", "story"),
        ("countries", "country"),
        ("days", "day"),
        ("movies", "movie"),
        ("ties", "tie"),
        ("colloquies", "colloquy"),
        ("shelves", "shelf"),
        ("bookshelves", "bookshelf"),
        ("leaves", "leaf"),
        ("thieves", "thief"),
        ("elves", "elf"),
        ("knives", "knife"),
        ("lives", "life"),
        ("archives", "archive"),
        ("olives", "olive"),
        ("valves", "valve"),
        ("boxes", "box"),
        ("dishes", "dish"),
        ("branches", "branch"),
        ("sandwiches", "sandwich"),
        ("headaches", "headache"),
        ("caches", "cache"),
        ("niches", "niche"),
        ("dresses", "dress"),
        ("addresses", "address"),
        ("glass", "glass"),
        ("quizzes", "quiz"),
        ("prizes", "prize"),
        ("waltzes", "waltz"),
        ("statuses", "status"),
        ("status", "status"),
        ("viruses", "virus"),
        ("uses", "use"),
        ("causes", "cause"),
        ("warehouses", "warehouse"),
        ("menus", "menu"),
        ("houses", "house"),
        ("courses", "course"),
        ("databases", "database"),
        ("responses", "response"),
        ("lenses", "lens"),
        ("lens", "lens"),
        ("gases", "gas"),
        ("alias", "alias"),
        ("aliases", "alias"),
        ("analyses", "analysis"),
        ("analysis", "analysis"),
        ("hypotheses", "hypothesis"),
        ("axes", "axis"),
        ("apis", "api"),
        ("heroes", "hero"),
        ("photos", "photo"),
        ("shoes", "shoe"),
        ("tomatoes", "tomato"),
        ("news", "news"),
        ("data", "data"),
        ("sms", "sms"),
        ("people", "person"),
        ("salespeople", "salesperson"),
        ("grandchildren", "grandchild"),
        ("women", "woman"),
        ("policewomen", "policewoman"),
        ("specimen", "specimen"),
        ("criteria", "criterion"),
        ("matrices", "matrix"),
        ("plateaus", "plateau"),
    ],
)
def test_one_row_is_called_by_the_singular(name, noun):
    """Where the name of the plugin is a plural, or that of its resource."""
    assert noun == find_names(name).noun
    assert noun == find_names("library", rows=name).noun


@pytest.mark.parametrize(
    "name,near",
    [
        ("my-notes", "my_notes"),
        ("Notes", "notes"),
        ("pegboard-notes", "notes"),
        ("my notes", "my_notes"),
        ("2notes", ""),
        ("", ""),
        ("nötes", "notes"),
        ("Résumé", "resume"),
        ("straßen", "strassen"),
        ("łodzie", ""),
        ("n" * 44, ""),
        ("../notes", "notes"),
    ],
)
def test_a_name_that_no_plugin_can_have_is_refused(name, near):
    """With the rule, and one that is near."""
    told = fault(name)
    assert told.startswith(f"{name!r} cannot be the name of a plugin: it is made of lower-case")
    assert told.endswith(f"Did you mean {near}?" if near else "characters.")


@pytest.mark.parametrize(
    "name,reason",
    [
        ("class", "class is a keyword of Python"),
        ("match", "match is a keyword of Python"),
        ("site", "site means something else in the commands that take a plugin's name"),
        ("db", "db is a command or a part of the core"),
        ("pegboard", "pegboard is a command or a part of the core"),
        ("new", "new is a command or a part of the core"),
        ("health", "health is a command or a part of the core"),
        ("items", "items is a plugin of Pegboard itself: pip install pegboard-items"),
        ("cache_redis", "is a plugin of Pegboard itself: pip install pegboard-cache-redis"),
        ("api", "the settings of a plugin api would begin with API_, as API_"),
        ("sqlite_notes", "names that begin with sqlite_ are kept by SQLite, for its own tables"),
        ("pg_notes", "names that begin with pg_ are kept by PostgreSQL, for its own tables"),
        ("alembic_version", "names that begin with alembic_version are kept by Alembic"),
        ("ratelimit_rules", "ratelimit_rules is a table of a plugin of Pegboard itself"),
        ("o", "the class of one o would be called O, which looks like a digit. Say by --noun"),
        ("command", "a package pegboard_command is installed already"),
        ("valkey", "valkey means something else in the names of tox environments: choose another"),
        ("all", "all means something else in the names of tox environments"),
        ("py313", "py313 is a Python in the names of tox environments: choose another name"),
        ("pypy", "pypy is a Python in the names of tox environments"),
        ("lint", "lint is an environment of tox in what is written: choose another name"),
        ("types", "types is an environment of tox in what is written"),
        ("s_", "'pegboard-s-' cannot be the name of a distribution"),
    ],
)
def test_a_name_that_is_taken_is_refused(name, reason):
    """By Python, by the core, or by what is published."""
    assert reason in fault(name)


def test_the_name_of_an_installed_plugin_is_refused(plugin_folder):
    """With the distribution that has it."""
    plugin_folder.add("notes", version="1.2")
    assert "notes is installed already, as example-notes 1.2: choose another name." == fault(
        "notes"
    )


def test_an_installed_distribution_and_its_package_are_refused(plugin_folder):
    """Each with the option that chooses another."""
    plugin_folder.add("other", distribution="pegboard-notes")
    told = fault("notes").splitlines()
    assert "a distribution pegboard-notes is installed already (1.0)" in told[0]
    assert "Choose another by --distribution." in told[0]
    assert told[1].startswith("a package pegboard_notes is installed already. Choose another by")


@pytest.mark.parametrize(
    "option,value,reason",
    [
        ("distribution", "-notes", "'-notes' cannot be the name of a distribution"),
        ("distribution", "a/b", "cannot be the name of a distribution"),
        ("distribution", "nötes", "cannot be the name of a distribution"),
        ("distribution", "Flask", "a distribution flask is installed already"),
        (
            "distribution",
            "d" * 65,
            "has more than the 64 characters that the name of a distribution",
        ),
        ("distribution", "Pegboard.Observe", "Pegboard.Observe is a plugin of Pegboard itself."),
        ("package", "pegboard_observe", "is the package of a plugin of Pegboard itself."),
        ("package", "PegboardNotes", "'PegboardNotes' cannot be the name of the package: it is"),
        (
            "package",
            "_notes",
            "'_notes' cannot be the name of the package: it is made of lower-case",
        ),
        (
            "package",
            "p" * 65,
            "has more than the 64 characters that the name of a package can have",
        ),
        ("package", "tests", "tests is something else in the folder of the plugin."),
        ("package", "my-notes", "'my-notes' cannot be imported"),
        ("package", "class", "'class' cannot be imported: it is no name of Python, or a keyword."),
        ("package", "acme.notes", "'acme.notes' cannot be imported"),
        ("package", "json", "json is a module of Python's standard library"),
        ("package", "flask", "a package flask is installed already"),
        ("rows", "Memos", "'Memos' cannot be the name of a resource: it is made of lower-case"),
        ("rows", "n" * 44, "cannot be the name of a resource"),
        ("rows", "class", "class is a keyword of Python. Choose another by --resource."),
        ("rows", "pg_memos", "names that begin with pg_ are kept by PostgreSQL"),
        ("rows", "health", "health is a command or a part of the core"),
        ("rows", "items", "items is a plugin of Pegboard itself"),
        ("rows", "cache_state", "cache_state is a table of a plugin of Pegboard itself"),
        ("noun", "Note", "'Note' cannot be what one row is called"),
        ("noun", "class", "'class' cannot be what one row is called"),
        ("noun", "none", "the class of one none would be called None, which is taken"),
        ("noun", "exception", "would be called Exception, which is taken"),
        ("noun", "text", "would be called Text, which is taken"),
        ("noun", "notes_settings", "would be called NotesSettings, which is taken"),
        ("noun", "item", "item is what operations of Pegboard itself are called by"),
    ],
)
def test_each_name_that_is_given_is_checked(option, value, reason):
    """And the message says by which option another is chosen."""
    told = fault("notes", **{option: value})
    assert reason in told
    assert f"--{'resource' if option == 'rows' else option}" in told


def test_the_name_of_an_installed_plugin_is_refused_for_rows(plugin_folder):
    """As its table is likely to be called so."""
    plugin_folder.add("memos")
    told = (
        "memos is the name of an installed plugin, example-memos 1.0. Choose another by --resource."
    )
    assert told == fault("notes", rows="memos")


def test_the_tables_of_the_plugins_of_this_repository_are_known():
    """A plugin is called as its table."""
    models = "".join(path.read_text("utf-8") for path in ROOT.glob("plugins/*/src/*/models.py"))
    tables = set(re.findall('__tablename__ = "(.*)"', models))
    folders = {path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml")}
    assert set() == tables - {*folders, *FIRST_PARTY_TABLES}
