"""The settings of the audit plugin."""

from marshmallow import ValidationError

import pegboard
from pegboard.clients import client_key


def _is_client(clients: tuple[str, ...]) -> None:
    for client in clients:
        try:
            client_key(client)
        except ValueError as error:
            raise ValidationError(str(error)) from error


class AuditSettings(pegboard.Settings):
    """Who reads the log, and what is kept out of it."""

    readers: tuple[str, ...] = pegboard.setting(
        (),
        doc="Clients that may read the log, as `user:ada` or an address; without one nobody may.",
        validate=_is_client,
    )
    hidden: tuple[str, ...] = pegboard.setting(
        (), doc="Columns whose values are not kept, as `people.password`."
    )
