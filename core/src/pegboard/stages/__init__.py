"""Stages: what sees a request before Flask does, and may answer it."""

from pegboard.stages.contract import (
    ANSWER,
    LIMIT,
    Answer,
    Call,
    Handler,
    Headers,
    PromptHandler,
    Route,
    Stage,
    answer_of,
    route_of,
)
from pegboard.stages.routing import UNSTAGED
from pegboard.stages.runner import MATCH, NO_REDIS, PASSAGE, Passage, Stages

__all__ = [
    "ANSWER",
    "LIMIT",
    "MATCH",
    "NO_REDIS",
    "PASSAGE",
    "UNSTAGED",
    "Answer",
    "Call",
    "Handler",
    "Headers",
    "Passage",
    "PromptHandler",
    "Route",
    "Stage",
    "Stages",
    "answer_of",
    "route_of",
]
