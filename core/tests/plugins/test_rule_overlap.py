"""Paths that two URL rules both match, compared with Werkzeug itself."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.exceptions import NotFound
from werkzeug.routing import BaseConverter, Map, RequestRedirect, Rule, ValidationError

from pegboard.plugins.rule_overlap import find_common_path


def converter(expression: str) -> type[BaseConverter]:
    """A converter with a regular expression of its own."""
    return type("Custom", (BaseConverter,), {"regex": expression})


class Refusing(BaseConverter):
    """A converter that accepts no value that its expression accepts."""

    def to_python(self, value: str) -> str:
        """Refuse every value, which is a 404."""
        raise ValidationError


CONVERTERS = {
    "upper": converter("[A-Z]+"),
    "code": converter("[a-z]{2,3}"),
    "not_new": converter("(?!new)[a-z]+"),
    "twin": converter(r"(?P<letter>\w)(?P=letter)"),
    "any_case": converter("(?i:k|new)"),
    "kelvin": converter("\u212a"),
    "arabic": converter("[\u0600-\u06ff]+"),
    "slashed": converter("a(?:/b)*"),
    "empties": converter("(?:a*)*"),
    "refusing": Refusing,
}


def in_map(*paths: str, **options) -> list[Rule]:
    """Rules of one map."""
    rules = [Rule(path, endpoint=path, **options) for path in paths]
    url_map = Map(host_matching="host" in options)
    url_map.converters = {**url_map.converters, **CONVERTERS}
    for rule in rules:
        url_map.add(rule)
    return rules


def matches(rule: Rule, path: str) -> bool:
    """Whether a rule, alone in a map, matches a path, or redirects from it to itself."""
    url_map = Map(merge_slashes=False)
    url_map.converters = {name: _accepting(kind) for name, kind in rule.map.converters.items()}
    url_map.add(rule.empty())
    try:
        url_map.bind("").match(path)
    except RequestRedirect:
        return True
    except NotFound:
        return False
    return True


def _accepting(kind: type[BaseConverter]) -> type[BaseConverter]:
    """A converter with the same expression, which refuses no value that it accepts."""
    return type("Accepting", (kind,), {"to_python": lambda _self, value: value})


@pytest.mark.parametrize(
    "first,second,path",
    [
        ("/a/<int(min=1, max=9):x>", "/a/<int(max=9, min=1):y>", "/a/1"),
        ("/a/<int:x>", "/a/<x>", "/a/1"),
        ("/a/<int:x>", "/a/7", "/a/7"),
        ("/a/<string(length=3):x>", "/a/new", "/a/new"),
        ("/a/<any(b, c):x>/z", "/a/<any(c, d):x>/z", "/a/c/z"),
        ("/<path:rest>", "/health/ready", "/health/ready"),
        ("/f/<path:rest>/edit", "/f/<int:x>/<y>/edit/", "/f/1/1/edit"),
        ("/f/<path:rest>/", "/f/<int:x>", "/f/1"),
        ("/a", "/a/", "/a"),
        ("/a/", "/<x>", "/a"),
        ("/", "/", "/"),
        ("/v<int:x>.<int:y>", "/v<float:x>", "/v1.1"),
        ("/a/<upper:x>", "/a/<y>", "/a/A"),
        ("/a/<not_new:x>", "/a/newer", None),
        ("/a/<not_new:x>", "/a/<code:x>", "/a/aa"),
        ("/a/<twin:x>", "/a/<int:y>", "/a/11"),
        ("/a/<any_case:x>", "/a/<kelvin:x>", "/a/\u212a"),
        ("/a/<any_case:x>", "/a/NEW", "/a/NEW"),
        ("/a/<arabic:x>", "/a/<int:x>", "/a/\u0660"),
        ("/a/<slashed:x>", "/a/a/b/b", "/a/a/b/b"),
        ("/a/<empties:x>", "/a/aaa", "/a/aaa"),
        ("/a/<refusing:x>", "/a/1", "/a/1"),
        ("/a/<int(min=10):x>", "/a/<int(max=9):x>", "/a/1"),
        ("/a/<int:x>", "/a/new", None),
        ("/a/<int:x>", "/a/<int:x>/b", None),
        ("/a/<any(b, c):x>", "/a/<any(d, e):x>", None),
        ("/a/<code:x>", "/a/<upper:x>", None),
        ("/a/<twin:x>", "/a/ab", None),
        ("/a/<uuid:x>", "/a/<int:x>", None),
        ("/a/<string(maxlength=100):x>", "/a/<string(minlength=200):x>", None),
        ("/<path:rest>", "/", None),
        ("/a/<slashed:x>", "/a/b/a", None),
    ],
)
def test_a_path_of_both_rules_is_found_if_there_is_one(first: str, second: str, path: str | None):
    """However variables, converters and their arguments are spelled."""
    one, other = in_map(first, second)
    assert path == find_common_path(one, other)
    assert (path is None) == (find_common_path(other, one) is None)
    if path is not None:
        assert matches(one, path)
        assert matches(other, path)


SEGMENTS: tuple[str, ...] = (
    *("a", "new", "7", "<x>", "<int:x>", "<code:x>", "<any(a, new):x>"),
    *("<string(length=2):x>", "<float:x>", "<path:x>", "n<x>", "<slashed:x>"),
)


def _paths(segments: tuple[str, ...]) -> st.SearchStrategy[str]:
    chosen = st.lists(st.sampled_from(segments), min_size=1, max_size=3)
    return st.builds(
        lambda parts, slash: f"/{'/'.join(parts)}{slash}", chosen, st.sampled_from(["", "/"])
    )


def _rules() -> st.SearchStrategy[str]:
    return _paths(SEGMENTS).map(_numbered)


def _numbered(rule: str) -> str:
    """Give each variable a name of its own."""
    parts = rule.split("x>")
    return "".join(f"{part}x{index}>" for index, part in enumerate(parts[:-1])) + parts[-1]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    _rules(),
    _rules(),
    st.fixed_dictionaries({"strict_slashes": st.booleans()}),
    _paths(("a", "b", "new", "newer", "7", "1.5", "aa", "n1")),
)
def test_no_path_of_both_rules_is_missed(
    first: str, second: str, slashes: dict[str, bool], path: str
):
    """What Werkzeug matches with both rules is found; what is found, Werkzeug matches with both."""
    one, other = in_map(first, second, **slashes)
    found = find_common_path(one, other)
    if matches(one, path) and matches(other, path):
        assert found is not None
    if found is not None:
        assert matches(one, found)
        assert matches(other, found)


def test_slashes_at_the_end_do_not_count_where_they_are_not_strict():
    """Werkzeug then answers with and without."""
    one, other = in_map("/a", "/<x>/", strict_slashes=False)
    assert find_common_path(one, other) == "/a"


@pytest.mark.parametrize(
    "hosts,path",
    [
        (("shop.example", "shop.example"), "shop.example/a"),
        (("shop.example", "<name>.example"), "shop.example/a"),
        (("shop.example", "stock.example"), None),
    ],
)
def test_hosts_are_compared(hosts: tuple[str, str], path: str | None):
    """Rules of two hosts match no common request."""
    url_map = Map(host_matching=True)
    rules = [Rule("/a", endpoint=host, host=host) for host in hosts]
    for rule in rules:
        url_map.add(rule)
    assert path == find_common_path(*rules)


@pytest.mark.slow
def test_an_endless_search_ends():
    """Rules that cannot be told apart soon are taken to overlap."""
    one, other = in_map("/a/<not_new:x>", "/a/new<string:y>")
    assert find_common_path(one, other) is not None
