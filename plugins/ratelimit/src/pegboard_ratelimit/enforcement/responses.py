"""The headers on every counted response, and the refusals.

The headers follow draft-ietf-httpapi-ratelimit-headers-11; the older `X-RateLimit-*` can be added.
"""

from http import HTTPStatus

from pegboard import clock
from pegboard.stages import Answer, Call
from pegboard_ratelimit.counting import Verdict
from pegboard_ratelimit.rules import SECOND, Limit

POLICY = "RateLimit-Policy"
STATE = "RateLimit"
LEGACY = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")

RETRY_AFTER = 1
"""Seconds after which a client may try again while requests cannot be counted."""

CANNOT_COUNT = Answer.error(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "Requests cannot be counted at the moment. Try again.",
    [("Retry-After", str(RETRY_AFTER))],
)


class Responses:
    """The headers and the refusal of one limit, prepared except for the numbers."""

    __slots__ = ("_policy", "_quotas", "_refusal", "_template")

    def __init__(self, name: str, limit: Limit, *, legacy: bool) -> None:
        names = [f"{_quotable(name)}-{policy.period}" for policy in limit.policies]
        described = ", ".join(
            f'"{name}";q={policy.quota};w={policy.window}'
            for name, policy in zip(names, limit.policies, strict=True)
        )
        self._policy = (POLICY, described)
        self._template = ", ".join(f'"{name.replace("%", "%%")}";r=%d;t=%d' for name in names)
        self._quotas = [policy.quota for policy in limit.policies] if legacy else None
        self._refusal = Answer.error(
            HTTPStatus.TOO_MANY_REQUESTS, f"Too many requests: at most {limit} are allowed."
        )

    def apply(self, call: Call, verdict: Verdict) -> Answer | None:
        """Add the headers to the call's response; return the refusal if the verdict is one."""
        numbers = verdict.numbers
        call.headers.append(self._policy)
        call.headers.append((STATE, self._template % numbers))
        if self._quotas is not None:
            call.headers += _legacy(self._quotas, numbers)
        if not verdict.wait:
            return None
        refusal = self._refusal
        retry_after = ("Retry-After", str(-(-verdict.wait // SECOND)))
        return Answer(refusal.status, [*refusal.headers, retry_after], refusal.body)


def _legacy(quotas: list[int], numbers: tuple[int, ...]) -> list[tuple[str, str]]:
    """Return the older headers, which can describe only one policy: the one with the least left."""
    nearest = min(range(len(quotas)), key=lambda place: numbers[2 * place])
    reset = int(clock.time()) + numbers[2 * nearest + 1]
    values = (quotas[nearest], numbers[2 * nearest], reset)
    return [(header, str(value)) for header, value in zip(LEGACY, values, strict=True)]


def _quotable(name: str) -> str:
    """Return a name as it may stand inside the quotes of a structured field (RFC 9651)."""
    printable = "".join(letter if " " <= letter <= "~" else "?" for letter in name)
    return printable.replace("\\", "\\\\").replace('"', '\\"')
