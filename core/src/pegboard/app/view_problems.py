"""The problems of views: each is one of the view's plugin, and says where the view is."""

from dataclasses import dataclass, replace

from pegboard.plugins import Registry, locate_views
from pegboard.problems import Problem


@dataclass(frozen=True)
class ViewProblem:
    """What is wrong with a view, before it is known whose it is."""

    endpoint: str
    """That of the view's route, or the beginning of it."""
    problem: Problem
    functions: tuple[object, ...]
    """What the message names, the view first."""

    def settled(self, assembled: Registry) -> Problem:
        """Return the problem as that of the view's plugin, if it has one, with the place."""
        module = getattr(self.functions[0], "__module__", "")
        owner = assembled.owner_of(self.endpoint, module)
        place = locate_views(assembled.manager, owner, *self.functions)
        problem = replace(self.problem, summary=f"{self.problem.summary}{place}")
        return problem if owner is None else owner.adopt(problem)
