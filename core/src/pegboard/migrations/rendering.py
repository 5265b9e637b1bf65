"""How autogenerate writes types and SQL expressions: so that a revision fits every database."""

import re
from collections.abc import Mapping
from typing import Any, Literal, Self

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import _render_ARRAY_type, _user_autogenerate_prefix
from alembic.ddl.impl import DefaultImpl
from alembic.util import CommandError
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import CompileError, UnsupportedCompilationError
from sqlalchemy.sql.elements import ColumnClause, False_, Null, True_
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

# With another style of parameters, a % in a text would be doubled.
DIALECTS: Mapping[str, Dialect] = {
    "postgresql": PGDialect(paramstyle="named"),  # type: ignore[no-untyped-call]
    "sqlite": SQLiteDialect(paramstyle="named"),
}
"""The databases that a revision is written for, whichever it is written on."""

_CONSTANTS = {True_: "sa.true()", False_: "sa.false()", Null: "sa.null()"}


class TextByDialect(str):
    """An SQL text that differs between databases; its `repr` is code that chooses one of them."""

    __slots__ = ("texts",)
    texts: Mapping[str, str]

    def __new__(cls, texts: Mapping[str, str]) -> Self:
        """Take the text for each dialect."""
        self = super().__new__(cls, next(iter(texts.values())))
        self.texts = texts
        return self

    def __repr__(self) -> str:
        return f"{dict(self.texts)!r}[op.get_context().dialect.name]"


def render_expression(expression: Any, *, is_index: bool = False) -> str:
    """Return an SQL expression as text, a `TextByDialect` where the databases need different ones.

    Raises `CompileError` if it can be written for none of them.
    """
    texts, errors = {}, []
    for name in DIALECTS:
        try:
            texts[name] = compile_expression(expression, name, is_index=is_index)
        except (CompileError, UnsupportedCompilationError) as error:
            errors.append(error)
    if not texts:
        raise errors[0]
    return texts.popitem()[1] if len({*texts.values()}) == 1 else TextByDialect(texts)


def compile_expression(expression: Any, dialect: str, *, is_index: bool = False) -> str:
    """Return an SQL expression as text for one dialect."""
    if is_index and not isinstance(expression, ColumnClause):
        expression = expression.self_group()  # PostgreSQL wants parentheses around an operation
    kwargs = {"literal_binds": True, "include_table": False}
    text = str(expression.compile(dialect=DIALECTS[dialect], compile_kwargs=kwargs))
    # Rendered as the text of `sa.text`.
    return text if is_index else _escape(text)


def literal_text(sql: str) -> sa.TextClause:
    """Return SQL that a database has given, as an expression without parameters."""
    return sa.text(_escape(sql))


def _escape(sql: str) -> str:
    """Escape colons: in `sa.text` one before a word begins a parameter."""
    return re.sub(r"(?<![:\w\\]):(?=\w)", r"\\:", sql)


def render_item(kind: str, item: Any, context: AutogenContext) -> str | Literal[False]:
    """Render server defaults and types; a callback of Alembic, which renders the rest."""
    if kind == "server_default" and isinstance(item, sa.DefaultClause):
        return _render_default(item.arg)
    if kind == "type":
        return _render_type(item, context)
    return False


def _render_default(value: Any) -> str | Literal[False]:
    if isinstance(value, str):
        return repr(value)
    if constant := _CONSTANTS.get(type(value)):
        return constant
    if isinstance(value, FunctionElement) and not value.clauses.clauses:
        name = getattr(value, "name", "")
        if name.isidentifier() and not getattr(value, "packagenames", ()):
            return f"sa.func.{name}()"
    return False


def _render_type(type_: TypeEngine[Any], context: AutogenContext) -> str:
    variants = type_._variant_mapping  # noqa: SLF001 - it has no public name
    _require_name(_undecorated(variants.get("postgresql", type_), "postgresql"))
    texts = {
        name: _render_plain(_undecorated(variants.get(name, type_), name), context)
        for name in {*DIALECTS, *variants}
    }
    if len({*texts.values()}) == 1 and not set(DIALECTS) - set(texts):
        return texts.popitem()[1]
    base = _render_plain(_undecorated(type_, None), context)
    base = base if base in texts.values() else texts["sqlite"]
    return base + "".join(
        f".with_variant({text}, {name!r})" for name, text in sorted(texts.items()) if text != base
    )


def _require_name(type_: TypeEngine[Any]) -> None:
    """Raise `CommandError` for an `Enum` that PostgreSQL cannot create, though SQLite can."""
    while isinstance(type_, sa.ARRAY):
        type_ = type_.item_type
    if isinstance(type_, sa.Enum) and type_.native_enum and not type_.name:
        values = ", ".join(map(repr, type_.enums))
        message = (
            f"Enum({values}) in the models has no name, which PostgreSQL demands: add name='…', or "
            "native_enum=False to store a text"
        )
        raise CommandError(message)


class _AsGiven(SQLiteDialect):
    """A dialect by whose name a type decorator chooses its type, which is left as it is."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def type_descriptor(self, typeobj: Any) -> Any:
        return sa.types.to_instance(typeobj)


def _undecorated(type_: TypeEngine[Any], dialect: str | None) -> TypeEngine[Any]:
    """Return the type by which a type decorator is stored: a revision does not need the class."""
    while isinstance(type_, TypeDecorator) and not _is_of_sqlalchemy(type_):
        type_ = type_.load_dialect_impl(_AsGiven(dialect)) if dialect else type_.impl_instance
    return type_


def _render_plain(type_: TypeEngine[Any], context: AutogenContext) -> str:
    module = type(type_).__module__
    if match := re.match(r"sqlalchemy\.dialects\.(\w+)", module):
        dialect = match[1]
        context.imports.add(f"from sqlalchemy.dialects import {dialect}")
        implementation = DefaultImpl.get_by_dialect(_AsGiven(dialect))
        renderer = implementation(
            _AsGiven(dialect),
            None,
            as_sql=False,
            transactional_ddl=None,
            output_buffer=None,
            context_opts={},
        )
        return renderer.render_type(type_, context) or f"{dialect}.{type_!r}"
    if isinstance(type_, sa.ARRAY):
        return _render_ARRAY_type(type_, context)
    if _is_of_sqlalchemy(type_):
        return f"sa.{type_!r}"
    if context.opts.get("user_module_prefix") is None:
        context.imports.add(f"import {module}")
    prefix: str = _user_autogenerate_prefix(context, type_)  # type: ignore[no-untyped-call]
    return f"{prefix}{type_!r}"


def _is_of_sqlalchemy(type_: TypeEngine[Any]) -> bool:
    return type(type_).__module__.startswith("sqlalchemy.")
