"""Checks of the core's settings that say where and how the server listens."""

import re

from marshmallow import ValidationError


def check_mode(value: str) -> None:
    """Take the permissions of a file, as chmod does. Raises `ValidationError`."""
    if not re.fullmatch("0?[0-7]{3}", value):
        message = "Not the permissions of a file in octal, as in 660."
        raise ValidationError(message)
