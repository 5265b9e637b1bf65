"""The stages of one request."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn, cast

from pegboard.http import APIError, internal_error
from pegboard.problems import PLUGIN_FAULTS
from pegboard.redaction import reason_of
from pegboard.redis import ChannelError, Command, Reply
from pegboard.stages.contract import Answer, Call, Handler, answer_of, check
from pegboard.stages.routing import Match, Measuring
from pegboard.stages.waiting import Exchange, MeasuredWaiting, Waiting

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

logger = logging.getLogger(__name__)


class StageRun:
    """The stages of one request, which are run once."""

    __slots__ = ("_handlers", "_measuring", "_prepared", "call", "fast_path", "match")

    def __init__(
        self, environ: "WSGIEnvironment", match: Match, measuring: Measuring | None
    ) -> None:
        """`measuring` is None for a run that is not measured."""
        self.match = match
        self._measuring = measuring
        self._handlers = match.handlers if measuring is None else match.measured
        self.fast_path = match.fast_path
        """What may answer in place of the view; None once it has been asked."""
        method = environ["REQUEST_METHOD"]
        self.call = Call(environ, method, match.route, match.arguments, match.route_cache)
        self._prepared: list[tuple[Handler, Sequence[Command] | Answer]] = []

    async def run(self, exchange: Exchange) -> Answer | None:
        """Return the answer of the first stage that gives one; None lets it pass to Flask.

        Awaits nothing but `exchange`, at most once.
        """
        replies: Sequence[Reply] | ChannelError = ()
        if commands := self._prepare():
            if self._measuring is not None:
                exchange = self._measuring.exchange(exchange)
            try:
                replies = await exchange(commands)
            except ChannelError as error:
                replies = error
        return self._complete(replies)

    def measured(self, waiting: Waiting) -> Waiting:
        """Return what waits as the given one does, and is measured if this run is."""
        if self._measuring is None:
            return waiting
        exchange = self._measuring.exchange(waiting.exchange)
        return cast("Waiting", MeasuredWaiting(waiting, exchange))

    def _prepare(self) -> list[Command]:
        """Return the commands that the stages want to send to Redis, in one round trip."""
        commands: list[Command] = []
        call, prepared = self.call, self._prepared
        for handler in self._handlers:
            try:
                wanted = handler.prepare(call)
                if wanted is None:
                    continue
                if not isinstance(wanted, Answer):
                    # Asking the abstract class alone takes longer.
                    if not isinstance(wanted, (tuple, list, Sequence)):
                        _refuse(wanted)
                    for command in wanted:
                        if type(command) is not Command:
                            _refuse(wanted)
                    commands.extend(wanted)
            except APIError as error:
                wanted = answer_of(error)
            except PLUGIN_FAULTS as error:
                wanted = self._bug(handler, error)
            prepared.append((handler, wanted))
            if isinstance(wanted, Answer):
                break
        return commands

    def _complete(self, replies: Sequence[Reply] | ChannelError) -> Answer | None:
        """Give each stage its part of the replies; returns the first answer."""
        position = 0
        for handler, wanted in self._prepared:
            try:
                try:
                    if isinstance(wanted, Answer):
                        answer: Answer | None = wanted
                    elif isinstance(replies, ChannelError):
                        answer = handler.complete(self.call, replies)
                    else:
                        end = position + len(wanted)
                        answer = handler.complete(self.call, replies[position:end])
                        position = end
                except APIError as error:
                    answer = answer_of(error)
                if answer is None:
                    continue
                check(answer)
            except PLUGIN_FAULTS as error:
                answer = self._bug(handler, error)
            return answer
        return None

    def _bug(self, handler: Handler, error: BaseException) -> Answer:
        """Return the answer of a stage that has failed."""
        if self.match.propagates:
            raise error
        name = self._name_of(handler)
        logger.error("the stage %s has failed: %s", name, reason_of(error), exc_info=error)
        return answer_of(internal_error(self.call.environ))

    def _name_of(self, handler: Handler) -> str:
        bound = zip(self.match.stages, self._handlers, strict=True)
        return next(name for name, one in bound if one is handler)


def _refuse(wanted: object) -> NoReturn:
    """Raise `TypeError`: without a known number of commands, replies would go to other requests."""
    message = f"{wanted!r:.200} is asked of Redis, not a list of commands"
    raise TypeError(message)
