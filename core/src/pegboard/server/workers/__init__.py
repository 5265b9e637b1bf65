"""The processes of a service: how they are watched, replaced, told things, and stopped.

Nothing here imports Granian, which takes 4 MB: commands that serve nothing use some of it as well.
"""

from pegboard.server.workers.companion import (
    COMPANION_TIMEOUT,
    Companion,
    Leash,
    describe_exit,
)
from pegboard.server.workers.deaths import Deaths
from pegboard.server.workers.draining import DrainingLoop, drain
from pegboard.server.workers.isolated import call_isolated, ended_after
from pegboard.server.workers.pulse import STACKS, Phase, Pulse
from pegboard.server.workers.refusal import tell_error
from pegboard.server.workers.reload import Reload, exit_code_of, has_ended, kill_leaving
from pegboard.server.workers.roster import TOGGLE, LevelFollower, Roster, memory_of
from pegboard.server.workers.stopping import die_at_stop, stop_with_parent
from pegboard.server.workers.succession import take_place
from pegboard.server.workers.systemd import ServiceManager
from pegboard.server.workers.watch import Watch, name_of

__all__ = [
    "COMPANION_TIMEOUT",
    "STACKS",
    "TOGGLE",
    "Companion",
    "Deaths",
    "DrainingLoop",
    "Leash",
    "LevelFollower",
    "Phase",
    "Pulse",
    "Reload",
    "Roster",
    "ServiceManager",
    "Watch",
    "call_isolated",
    "describe_exit",
    "die_at_stop",
    "drain",
    "ended_after",
    "exit_code_of",
    "has_ended",
    "kill_leaving",
    "memory_of",
    "name_of",
    "stop_with_parent",
    "take_place",
    "tell_error",
]
