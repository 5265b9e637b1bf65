"""A matrix as tox and CI services read it."""

import json
import re
import shlex
from collections.abc import Callable, Iterable
from typing import Any

from tox_pegboard.combinations.environments import Environment, environment_of
from tox_pegboard.combinations.matrix import Matrix
from tox_pegboard.combinations.names import name_of
from tox_pegboard.combinations.values import MatrixError

LIMITS = {"github": 256, "gitlab": 200}
"""How many jobs of one matrix the service runs."""


def render(matrix: Matrix, form: str) -> str:
    """Return the matrix in one of the formats. Raises `MatrixError` for one that has no room."""
    if len(matrix.combinations) > LIMITS.get(form, len(matrix.combinations)):
        message = (
            f"{len(matrix.combinations)} combinations are more than the {LIMITS[form]} jobs that a "
            f"matrix of {form} has: use --max-jobs {LIMITS[form]}"
        )
        raise MatrixError(message)
    return FORMATS[form](matrix)


def _environments(matrix: Matrix) -> list[Environment]:
    return [
        environment_of(combination, matrix.space, matrix.settings)
        for combination in matrix.combinations
    ]


def _list(matrix: Matrix) -> str:
    return "".join(f"{name}\n" for name in matrix.by_name)


def _json(matrix: Matrix) -> str:
    document = {
        "combinations": [
            {"name": name, "plugins": [*combination.plugins], **combination.values}
            for name, combination in matrix.by_name.items()
        ],
        "own": [plugin.name for plugin in matrix.space.own],
        "plugins": {plugin.name: sorted(plugin.needs) for plugin in matrix.space.plugins},
        "all_subsets": matrix.has_all_subsets,
        "left_out": [name_of(combination, matrix.space) for combination in matrix.left_out],
        "uncovered": [*matrix.uncovered],
        "infeasible": [*matrix.infeasible],
        "reasons": [*matrix.reasons],
    }
    return json.dumps(document, indent=2) + "\n"


def _github(matrix: Matrix) -> str:
    """Return what `strategy: matrix: ${{ fromJSON(…) }}` reads: a line, as outputs have to be."""
    include = [
        {"environment": name, "plugins": ",".join(combination.plugins), **combination.values}
        for name, combination in matrix.by_name.items()
    ]
    return json.dumps({"include": include}) + "\n"


def _gitlab(matrix: Matrix) -> str:
    """Return a pipeline of its own, for `trigger: include: - artifact: …`: JSON is YAML."""
    jobs = [
        {"TOX_ENVIRONMENT": name, "PYTHON": combination.python}
        for name, combination in matrix.by_name.items()
    ]
    job = {
        "image": "python:$PYTHON",
        "parallel": {"matrix": jobs},
        "script": ["pip install tox-pegboard tox-uv", 'tox run -e "$TOX_ENVIRONMENT"'],
    }
    return json.dumps({"combinations": job}, indent=2) + "\n"


def _ini(matrix: Matrix) -> str:
    environments = _environments(matrix)
    lines = ["[tox]", "min_version = 4.29", *_ini_list("env_list", [e.name for e in environments])]
    lines.append("skip_missing_interpreters = true")
    if not matrix.space.own:
        lines.append("no_package = true")
    for environment in environments:
        lines += [
            "",
            f"[testenv:{environment.name}]",
            f"description = {environment.description}",
            *_ini_list("labels", environment.labels),
            *_ini_list("deps", environment.deps),
            *_ini_list(
                "set_env", [f"{key} = {value}" for key, value in environment.set_env.items()]
            ),
            *_ini_list("commands", environment.commands),
        ]
    return "\n".join(lines) + "\n"


def _ini_list(key: str, values: Iterable[str]) -> list[str]:
    return [f"{key} =", *(f"    {line}" for line in ini_lines(values))]


def ini_lines(lines: Iterable[str]) -> list[str]:
    """Return lines as tox.ini has them, where `#` would begin a comment."""
    return [line.replace("#", r"\#") for line in lines]


def _toml(matrix: Matrix) -> str:
    environments = _environments(matrix)
    lines = [
        'min_version = "4.29"',
        f"env_list = {_toml_value([environment.name for environment in environments])}",
        "skip_missing_interpreters = true",
    ]
    if not matrix.space.own:
        lines.append("no_package = true")
    for environment in environments:
        variables = [f"{key} = {_toml_value(text)}" for key, text in environment.set_env.items()]
        commands = [_toml_command(line) for line in environment.commands]
        lines += [
            "",
            f"[env.{json.dumps(environment.name)}]",
            f"description = {_toml_value(environment.description)}",
            f"labels = {_toml_value([*environment.labels])}",
            f"deps = {_toml_value([*environment.deps])}",
            f"set_env = {{ {', '.join(variables)} }}",
            f"commands = [{', '.join(commands)}]",
        ]
    return "\n".join(lines) + "\n"


def _toml_command(line: str) -> str:
    """Return a command as TOML has it: words, of which `{posargs}` alone is a reference.

    So its arguments become words of their own, as they do in a tox.ini; within a word tox replaces
    it in TOML as well.
    """
    words: list[str] = []
    end = 0
    for found in _POSARGS.finditer(line):
        words += map(_toml_value, shlex.split(line[end : found.start()]))
        default = _toml_value(shlex.split(found["default"] or ""))
        words.append(f'{{ replace = "posargs", default = {default}, extend = true }}')
        end = found.end()
    words += map(_toml_value, shlex.split(line[end:]))
    return f"[{', '.join(words)}]"


_POSARGS = re.compile(r"(?<!\S)\{posargs(:(?P<default>[^{}]*))?\}(?!\S)")


def _toml_value(value: Any) -> str:
    """Return a text or a list of texts: JSON's are TOML's, but for what is beyond ASCII."""
    return json.dumps(value, ensure_ascii=False)


FORMATS: dict[str, Callable[[Matrix], str]] = {
    "list": _list,
    "json": _json,
    "tox": _ini,
    "toml": _toml,
    "github": _github,
    "gitlab": _gitlab,
}
"""What `--format` may say."""
