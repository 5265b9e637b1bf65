"""Tests of bodies that are made from a schema."""

import enum
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal as DecimalNumber

import pytest
from marshmallow import (
    EXCLUDE,
    INCLUDE,
    Schema,
    ValidationError,
    fields,
    validate,
    validates_schema,
)

from pegboard.resources import Decimal, Line, Moment, Text
from pegboard.testing.bodies import Bodies, body_of


class Color(enum.Enum):
    """A choice."""

    RED = "r"
    BLUE = "b"


class AuthorSchema(Schema):
    """What is inside another."""

    name = fields.String(required=True, validate=validate.Length(2, 10))


def is_known_prime(number: int) -> None:
    """Refuse all numbers but one, which nobody would guess."""
    if number != 7919:
        message = "No such prime."
        raise ValidationError(message)


class PrimeSchema(Schema):
    """An object of which no valid value is known."""

    prime = fields.Integer(required=True, validate=is_known_prime)


class LineSchema(Schema):
    """A row of a list."""

    sku = fields.String(required=True, validate=validate.Length(min=3))
    count = fields.Integer(required=True, validate=validate.Range(min=1))


class OrderSchema(Schema):
    """Lists of rows, in each way that one is declared."""

    lines = fields.Nested(LineSchema, many=True, required=True, validate=validate.Length(2, 3))
    gifts = fields.Nested(LineSchema(many=True))
    extras = fields.List(fields.Nested(LineSchema))
    lenient = fields.Nested(LineSchema, unknown=EXCLUDE)


class EverySchema(Schema):
    """A field of each kind."""

    id = fields.Integer(dump_only=True)
    line = Line(required=True, max_length=20)
    text = Text(load_default=None, allow_none=True)
    price = Decimal(required=True)
    moment = Moment()
    count = fields.Integer(strict=True, validate=validate.Range(3, 5))
    share = fields.Float(validate=validate.Range(0, 1, min_inclusive=False, max_inclusive=False))
    whole = fields.Integer(validate=validate.And(validate.Range(min=100), validate.Range(max=200)))
    choice = fields.String(validate=validate.OneOf(["one", "two"]))
    color = fields.Enum(Color)
    color_value = fields.Enum(Color, by_value=True)
    mail = fields.Email(required=True)
    page = fields.URL()
    key = fields.UUID()
    day = fields.Date()
    time = fields.DateTime(data_key="at")
    flag = fields.Boolean()
    code = fields.String(validate=validate.Regexp(r"^[0-9]{5}$"))
    long = fields.String(validate=validate.Length(min=30, max=40))
    tags = fields.List(fields.String(validate=validate.Length(max=5)), validate=validate.Length(2))
    author = fields.Nested(AuthorSchema, required=True)
    labels = fields.Dict(keys=fields.String(), values=fields.Integer())


@pytest.fixture(scope="module")
def bodies() -> Bodies:
    """Bodies of all kinds of fields."""
    return body_of(EverySchema)


def test_a_valid_body_has_every_field(bodies: Bodies) -> None:
    """By the names that clients use, and without those that they cannot send."""
    assert {} == EverySchema().validate(bodies.valid)
    names = {field.data_key or name for name, field in EverySchema().load_fields.items()}
    assert names == set(bodies.valid)
    assert "id" not in bodies.valid
    assert {"line", "price", "mail", "author"} == set(bodies.minimal)
    assert {} == EverySchema().validate(bodies.minimal)


def test_each_call_returns_an_object_of_its_own(bodies: Bodies) -> None:
    """A test may change it, also what is inside."""
    bodies.valid["author"]["name"] = "changed"
    assert "changed" != bodies.valid["author"]["name"]


def test_each_invalid_body_has_one_wrong_field(bodies: Bodies) -> None:
    """The schema refuses that one and no other."""
    for wrong in bodies.invalid:
        assert {wrong.field.partition(".")[0]} == set(EverySchema().validate(wrong.body)), wrong


def test_every_field_is_invalid_in_turn(bodies: Bodies) -> None:
    """In the ways that its validators and its type give."""
    found = {str(wrong) for wrong in bodies.invalid}
    names = {wrong.field for wrong in bodies.invalid}
    assert {*bodies.valid, "author.name", "author.no_such_field", "no_such_field"} == names
    assert {
        "line: missing",
        "line: too long",
        "line: an empty text",
        "line: null",
        "line: a line break",
        "count: too small",
        "count: too large",
        "share: too small",
        "whole: too large",
        "choice: not one of its choices",
        "color: not one of its choices",
        "color_value: not one of its choices",
        "mail: a text",
        "code: a text",
        "long: too short",
        "tags: too short",
        "author: missing",
        "author.name: too short",
        "no_such_field: unknown",
    } <= found
    assert "text: null" not in found


def test_a_value_that_cannot_be_guessed_is_asked_for() -> None:
    """With the field, and how to give it."""
    with pytest.raises(LookupError, match=r"prime of PrimeSchema: .* body_of\(PrimeSchema, prime="):
        body_of(PrimeSchema)
    assert {"prime": 7919} == body_of(PrimeSchema, prime=7919).valid
    with pytest.raises(LookupError, match="takes no prim, but prime"):
        body_of(PrimeSchema, prim=7919)


def test_rows_are_made_and_are_wrong_in_turn() -> None:
    """As many as the list must have; the first one is wrong, and the others are as they were."""
    bodies = body_of(OrderSchema)
    row = {"sku": "Example", "count": 1}
    assert {"lines": [row, row], "gifts": [row], "extras": [row], "lenient": row} == bodies.valid
    changed = bodies.valid
    changed["lines"][0]["count"] = 2
    assert row == changed["lines"][1]
    found = {str(wrong): wrong.body for wrong in bodies.invalid}
    assert [{"sku": "Example", "count": 0}, row] == found["lines.count: too small"]["lines"]
    assert [row] * 4 == found["lines: too long"]["lines"]
    assert [row] == found["lines: too short"]["lines"]
    assert {
        "lines: missing",
        "lines: an entry is a text",
        "lines.sku: missing",
        "lines.sku: too short",
        "lines.no_such_field: unknown",
        "gifts.sku: too short",
        "extras.sku: too short",
        "extras: an entry is a text",
        "lenient.sku: too short",
    } <= set(found)
    # The field says what happens to it, not the schema inside.
    assert "lenient.no_such_field: unknown" not in found


def test_rows_that_cannot_be_made_are_given() -> None:
    """What is wrong with those that are given is found all the same."""

    class PrimesSchema(Schema):
        primes = fields.Nested(PrimeSchema, many=True, validate=validate.Length(max=3))

    found = body_of(PrimesSchema, primes=[{"prime": 7919}]).invalid
    assert "primes.prime: missing" in {str(wrong) for wrong in found}


def test_a_schema_of_many_gives_one_body() -> None:
    """As its operations take them one by one."""
    bodies = body_of(LineSchema(many=True))
    assert {"sku": "Example", "count": 1} == bodies.valid
    assert "count: too small" in {str(wrong) for wrong in bodies.invalid}


def test_a_value_inside_another_is_asked_for_where_it_can_be_given() -> None:
    """The field has its whole name, and the call is that of the schema outside."""

    class PartSchema(Schema):
        number = fields.Integer(required=True, validate=validate.OneOf([]))

    class MachineSchema(Schema):
        parts = fields.Nested(PartSchema, many=True)

    expected = (
        "no valid value is known for parts.number of MachineSchema: give its metadata an example, "
        "or write body_of(MachineSchema, parts=...)"
    )
    with pytest.raises(LookupError) as refused:
        body_of(MachineSchema)
    assert expected == str(refused.value)
    assert {"parts": []} == body_of(MachineSchema, parts=[]).valid


def test_values_that_only_the_schema_refuses_are_asked_for_by_name() -> None:
    """It is the field that its validator names."""

    class StaySchema(Schema):
        begin = fields.Date(required=True)
        end = fields.Date(required=True)

        @validates_schema
        def _check(self, data: dict[str, date], **_: object) -> None:
            if data["end"] <= data["begin"]:
                message = "Not after the beginning."
                raise ValidationError(message, "end")

    with pytest.raises(LookupError, match=r"as in body_of\(StaySchema, end=\.\.\.\)$"):
        body_of(StaySchema)
    assert "2024-01-02" == body_of(StaySchema, end="2024-01-02").valid["end"]


def test_the_example_of_a_field_comes_first() -> None:
    """It is what the documentation shows."""

    class ToolSchema(Schema):
        class Meta:
            unknown = INCLUDE

        name = fields.String(metadata={"example": "Hammer"})

    bodies = body_of(ToolSchema)
    assert {"name": "Hammer"} == bodies.valid
    assert "no_such_field" not in {wrong.field for wrong in bodies.invalid}


@pytest.mark.parametrize(
    "field, value, too_small, too_large",
    [
        (
            fields.Date(validate=validate.Range(date(2030, 1, 1), date(2031, 12, 31))),
            "2031-01-01",
            "2029-12-31",
            "2032-01-01",
        ),
        (
            fields.Date("%d.%m.%Y", validate=validate.Range(date(2030, 1, 1), date(2031, 12, 31))),
            "01.01.2031",
            "31.12.2029",
            "01.01.2032",
        ),
        (
            fields.AwareDateTime(
                validate=validate.Range(
                    datetime(2030, 1, 1, tzinfo=UTC),
                    datetime(2031, 1, 1, tzinfo=UTC),
                    max_inclusive=False,
                )
            ),
            "2030-06-01T00:00:00Z",
            "2029-12-31T00:00:00+00:00",
            "2031-01-01T00:00:00+00:00",
        ),
        (
            fields.Time(validate=validate.Range(time(8), time(20))),
            "12:00:00",
            "07:59:00",
            "20:01:00",
        ),
        (
            fields.TimeDelta(
                "minutes", validate=validate.Range(timedelta(seconds=30), timedelta(minutes=5))
            ),
            2,
            0.5 - 1 / 60,
            5 + 1 / 60,
        ),
    ],
    ids=["date", "date with a format", "date and time", "time", "span"],
)
def test_times_are_beyond_their_bounds(
    field: fields.Field[object], value: object, too_small: object, too_large: object
) -> None:
    """As the field would send them."""
    bodies = body_of(Schema.from_dict({"at": field}), at=value)
    wrong = {one.reason: one.body["at"] for one in bodies.invalid}
    assert (too_small, too_large) == (wrong["too small"], wrong["too large"])


@pytest.mark.parametrize(
    "field, value",
    [
        (fields.Date(validate=validate.Range(min=date(2030, 1, 1))), "2030-01-01"),
        (fields.Date(validate=validate.Range(max=date(2020, 1, 1))), "2020-01-01"),
        (
            fields.Date(validate=validate.Range(min=date(2030, 1, 1), min_inclusive=False)),
            "2030-01-02",
        ),
        (fields.Date("%d.%m.%Y"), "01.01.2024"),
        (fields.Date(validate=validate.OneOf([date(2030, 1, 1)])), "2030-01-01"),
        (fields.Time("%H:%M"), "12:00"),
        (fields.DateTime("%Y"), "2024"),
        (
            fields.AwareDateTime(validate=validate.Range(min=datetime(2030, 1, 1, tzinfo=UTC))),
            "2030-01-01T00:00:00+00:00",
        ),
        (fields.TimeDelta(validate=validate.Range(max=timedelta(seconds=30))), 30.0),
        (fields.Integer(validate=validate.NoneOf([1])), 2),
        (fields.Integer(validate=[validate.Range(max=9), validate.NoneOf([9, 8, 1])]), 7),
        (
            fields.Float(
                validate=[
                    validate.Range(min=0, min_inclusive=False),
                    validate.Range(max=1, max_inclusive=False),
                ]
            ),
            0.5,
        ),
        (fields.Decimal(validate=validate.OneOf([DecimalNumber("2.50")])), "2.50"),
        (Decimal(validate=validate.Range(min=DecimalNumber(20))), "20"),
        (
            fields.List(
                fields.String(), validate=[validate.ContainsOnly(["x", "y"]), validate.Length(2)]
            ),
            ["x", "x"],
        ),
        (fields.List(fields.Integer(), validate=validate.ContainsNoneOf([1])), [2]),
        (
            fields.String(validate=[validate.ContainsOnly("xy"), validate.Length(3)]),
            "xxx",
        ),
        (fields.Dict(values=fields.Integer(), validate=validate.Length(2)), {"0": 1, "1": 1}),
        (fields.Tuple((fields.Integer(), fields.Date())), [1, "2024-01-01"]),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_value_is_found_where_validators_leave_one(
    field: fields.Field[object], value: object
) -> None:
    """A bound, a value between bounds, a choice, the parts of one, or the next that is free."""
    bodies = body_of(Schema.from_dict({"field": field}))
    assert {"field": value} == bodies.valid
    assert bodies.invalid


def test_an_entry_that_is_no_choice_is_wrong() -> None:
    """The list is one, so nothing else is wrong with it."""
    tags = fields.List(fields.String(), validate=validate.ContainsOnly(["x", "y"]))
    wrong = {
        one.reason: one.body["tags"] for one in body_of(Schema.from_dict({"tags": tags})).invalid
    }
    assert ["no such choice"] == wrong["an entry is not one of its choices"]


def test_nothing_is_beyond_the_first_and_the_last_of_a_type() -> None:
    """The other ways to be wrong are still told."""

    class LastSchema(Schema):
        day = fields.Date(validate=validate.Range(date.min, date.max))
        hour = fields.Time(validate=validate.Range(time.min, time.max))

    reasons = {one.reason for one in body_of(LastSchema).invalid}
    assert not {"too small", "too large"} & reasons
    assert "a text" in reasons
