"""Telling why a process of the service cannot start, or ends."""

import logging
import traceback

import click

from pegboard.logs import is_json
from pegboard.problems import StartupError

logger = logging.getLogger(__name__)


def tell_error(error: BaseException) -> None:
    """Tell an error that ends the process: as a command prints it, or in a log that is JSON."""
    if is_json():
        _log(error)
    elif isinstance(error, click.ClickException):
        error.show()
    else:
        traceback.print_exception(error)


def tell(text: str) -> None:
    """Tell why the process ends: on standard error, or in a log that is JSON."""
    if is_json():
        logger.critical("%s", text)
    else:
        click.echo(text, err=True)


def _log(error: BaseException) -> None:
    """Log each problem as a line with fields; of an error that is no problem, its traceback."""
    if isinstance(error, StartupError):
        for problem in error.problems:
            fields = {
                "code": str(problem.code),
                "hint": problem.hint,
                "plugin": problem.plugin,
                "distribution": problem.distribution,
            }
            logger.critical("the service cannot start: %s", problem.summary, extra=fields)
    elif isinstance(error, click.ClickException):
        logger.critical("%s", error.format_message())
    else:
        logger.critical("the service cannot start", exc_info=error)
