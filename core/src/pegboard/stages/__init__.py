"""Stages: handlers of plugins that see a request before Flask does, and may answer it.

What `__all__` lists is public; the other names are for the packages of the core.
"""

from pegboard.stages.contract import (
    Answer,
    Call,
    ExplainedHandler,
    Handler,
    NonBlockingHandler,
    Route,
    Stage,
    StageOrder,
    route_of,
)
from pegboard.stages.contract import FastPath as FastPath
from pegboard.stages.contract import Headers as Headers
from pegboard.stages.contract import answer_of as answer_of
from pegboard.stages.contract import check as check
from pegboard.stages.contract import set_fast_path as set_fast_path
from pegboard.stages.guards import Hook as Hook
from pegboard.stages.guards import after_hooks as after_hooks
from pegboard.stages.guards import entering_hooks as entering_hooks
from pegboard.stages.guards import error_hooks as error_hooks
from pegboard.stages.guards import leaving_hooks as leaving_hooks
from pegboard.stages.guards import middleware_of as middleware_of
from pegboard.stages.guards import note_middleware as note_middleware
from pegboard.stages.guards import replaced_methods as replaced_methods
from pegboard.stages.routing import EXEMPT_BLUEPRINTS
from pegboard.stages.routing import Match as Match
from pegboard.stages.routing import Measuring as Measuring
from pegboard.stages.runner import MATCH as MATCH
from pegboard.stages.runner import STAGE_RUN as STAGE_RUN
from pegboard.stages.runner import Stages as Stages
from pegboard.stages.runner import get_stages as get_stages
from pegboard.stages.runner import init_stages as init_stages
from pegboard.stages.stage_run import StageRun as StageRun
from pegboard.stages.waiting import Exchange, result_of
from pegboard.stages.waiting import Waiting as Waiting

__all__ = [
    "EXEMPT_BLUEPRINTS",
    "Answer",
    "Call",
    "Exchange",
    "ExplainedHandler",
    "Handler",
    "NonBlockingHandler",
    "Route",
    "Stage",
    "StageOrder",
    "result_of",
    "route_of",
]
