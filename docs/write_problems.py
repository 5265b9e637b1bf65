"""Write the lists of docs/reference/problems.md from the declared codes.

A list has a section for each code that the core or a plugin declares.
"""

from pathlib import Path

from marked_page import MarkedPage

import pegboard
import pegboard_cache_redis.problems
import pegboard_observe.problems
import pegboard_ratelimit.problems
from pegboard.problems import Code

OWNERS: dict[str, type[pegboard.ProblemCode]] = {
    "core": Code,
    "cache_redis": pegboard_cache_redis.problems.Code,
    "observe": pegboard_observe.problems.Code,
    "ratelimit": pegboard_ratelimit.problems.Code,
}


def section(code: pegboard.ProblemCode) -> str:
    """Return what the page says of one code."""
    return f"""\
### {code}

{code.meaning}

```text
{code.example} [{code}]
```

{code.hint}
"""


def sections(owner: str) -> str:
    """Return the list of one owner."""
    return "\n" + "\n".join(map(section, OWNERS[owner])) + "\n"


PAGE = MarkedPage(Path(__file__).parent / "reference/problems.md", "problems", sections)


if __name__ == "__main__":
    PAGE.main()
