"""Values of every type, as they are written in the environment and shown to an operator."""

from typing import Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pegboard import (
    Settings,
    StartupError,
    create_app,
    get_registry,
    get_settings,
    hookimpl,
    setting,
)
from pegboard.settings import Value


class KeysSettings(Settings):
    """A setting of each type that is made of others."""

    names: tuple[str, ...] = setting((), doc="Names.")
    ports: tuple[int, ...] = setting((), doc="Ports.")
    keys: dict[str, str] = setting({}, doc="Keys by reviewer.")
    hidden: dict[str, str] = setting({}, doc="Keys that are secret.", secret=True)
    weights: dict[str, float] = setting({}, doc="Weights.")
    maybe: Optional[int] = setting(None, doc="A number, or none.")  # noqa: UP045 - as authors write it
    size: int = setting(1, doc="A size.")


class Keys:
    """A plugin with these settings."""

    name = "keys"

    @hookimpl
    def pegboard_settings(self):
        """Declare them."""
        return KeysSettings


def read(**settings: object) -> KeysSettings:
    """The settings of a service that is given these."""
    named = {f"KEYS_{key.upper()}": value for key, value in settings.items()}
    return get_settings(KeysSettings, create_app({"ENV": "testing", **named}, plugins=[Keys()]))


@pytest.mark.parametrize(
    "field,text,value",
    [
        ("keys", "ann=c2VjcmV0,bob=x y", {"ann": "c2VjcmV0", "bob": "x y"}),
        ("keys", ' {"c2VjcmV0MQ==": "ann", "bob": ""} ', {"c2VjcmV0MQ==": "ann", "bob": ""}),
        ("keys", "{}", {}),
        ("keys", " a = 1 , b=2,", {"a": "1", "b": "2"}),
        ("names", '["a,b", " c ", ""]', ("a,b", " c ", "")),
        ("names", "a, b,", ("a", "b")),
        ("ports", "80,443", (80, 443)),
        ("ports", "[80, 443]", (80, 443)),
        ("weights", "a=0.5,b=2", {"a": 0.5, "b": 2.0}),
        ("weights", '{"a": 0.5}', {"a": 0.5}),
        ("maybe", "", None),
        ("maybe", "3", 3),
    ],
)
def test_a_list_and_a_mapping_have_a_short_form_and_json(field, text, value) -> None:
    """Entries have the declared type."""
    assert value == getattr(read(**{field: text}), field)


@pytest.mark.parametrize(
    "field,given",
    [
        ("keys", "c2VjcmV0MQ===ann"),  # three bytes of padding, or a key that ends in two
        ("keys", "c2VjcmV0MQ="),
        ("keys", "ann=c2VjcmV0MQ=="),
        ("keys", "=ann"),
        ("keys", 'ann="x"'),
        ("keys", 'ann="x,y"'),
        ("keys", "ann"),
        ("keys", "ann=1,ann=2"),
        ("keys", '{"ann": "1", "ann": "2"}'),
        ("keys", '{"ann": 1}'),
        ("keys", '{"ann": null}'),
        ("keys", '{"ann": ["x"]}'),
        ("keys", '{"ann": "1"'),
        ("keys", '["ann"]'),
        ("keys", '["ann=1"]'),
        ("keys", '[["ann", "1"]]'),
        ("keys", "[1]"),
        ("keys", ["ann=1"]),
        ("keys", {"ann": 1}),
        ("names", '"a","b"'),
        ("names", "'a'"),
        ("names", '["a"'),
        ("names", "[a, b]"),
        ("names", "[1]"),
        ("names", {"a": "b"}),
        ("names", 5),
        ("ports", "80,http"),
        ("ports", "[80.5]"),
        ("ports", "[true]"),
        ("weights", "a=heavy"),
        ("size", 1.9),
        ("size", True),
    ],
)
def test_what_can_be_read_in_two_ways_or_has_another_type_is_refused(field, given) -> None:
    """Nothing is cut or turned into something else in silence."""
    with pytest.raises(StartupError) as caught:
        read(**{field: given})
    (problem,) = caught.value.problems
    assert ("PB_SETTING_INVALID", "keys") == (problem.code, problem.plugin)


@pytest.mark.parametrize(
    "text", ["hunter2===x", "hunter2", "x=hunter2,x=hunter2", '{"hunter2": 5}']
)
def test_a_secret_is_not_told_by_the_reason_why_it_is_refused(text) -> None:
    """The place of the entry is."""
    with pytest.raises(StartupError) as caught:
        read(hidden=text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "annotation", [list[str], tuple[str, int], dict[int, str], tuple[list[str], ...], int | str]
)
def test_a_type_that_cannot_be_read_is_refused_though_the_default_is_empty(annotation) -> None:
    """It is the author's mistake, found at the first start."""

    class OddSettings(Settings):
        odd: annotation = setting((), doc="Of a type that no setting has.")

    class Odd:
        name = "odd"

        @hookimpl
        def pegboard_settings(self):
            return OddSettings

    with pytest.raises(StartupError, match="which no setting can be of"):
        create_app("testing", plugins=[Odd()])


DECLARED = {
    value.declaration.field: value.declaration
    for value in get_registry(create_app("testing", plugins=[Keys()])).values
    if value.declaration.owner
}
TEXTS = st.text() | st.text(alphabet="ab=,\"' []{}\\")


@pytest.mark.slow
@settings(deadline=None, max_examples=50)
@given(st.dictionaries(TEXTS, TEXTS, max_size=3), st.lists(TEXTS, max_size=3))
def test_what_is_shown_can_be_set(keys: dict[str, str], names: list[str]) -> None:
    """`config show` prints each value as an environment variable that means the same."""
    shown = {
        "keys": Value(DECLARED["keys"], keys, "").shown,
        "names": Value(DECLARED["names"], tuple(names), "").shown,
    }
    found = read(**shown)
    assert (keys, tuple(names)) == (found.keys, found.names)
