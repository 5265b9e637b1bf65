"""Write the lists of docs/reference/problems.md from the declared codes.

A list stands between `<!-- problems: OWNER -->` and `<!-- end -->`; it has a section for each code
that the core and the plugins declare. With `--check` nothing is written, and the script fails when
the file is not current.
"""

import re
import sys
from pathlib import Path

import pegboard
import pegboard_cache_redis.problems
import pegboard_observe.problems
import pegboard_ratelimit.problems
from pegboard.problems import Code

PAGE = Path(__file__).parent / "reference/problems.md"
OWNERS: dict[str, type[pegboard.ProblemCode]] = {
    "core": Code,
    "cache_redis": pegboard_cache_redis.problems.Code,
    "observe": pegboard_observe.problems.Code,
    "ratelimit": pegboard_ratelimit.problems.Code,
}
MARKED = re.compile(r"(<!-- problems: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


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


def current() -> str:
    """Return the text of the page with the lists it should have."""
    text = PAGE.read_text(encoding="utf-8")
    return MARKED.sub(
        lambda mark: mark[1] + "\n" + "\n".join(map(section, OWNERS[mark[2]])) + "\n" + mark[3],
        text,
    )


def is_stale() -> bool:
    """Return whether the page differs from what the code declares."""
    return current() != PAGE.read_text(encoding="utf-8")


def main() -> None:
    """Write or check."""
    if not is_stale():
        return
    if "--check" in sys.argv:
        sys.exit(f"Not current: {PAGE.name}; run this script.")
    PAGE.write_text(current(), encoding="utf-8")
    print(f"{PAGE.name} written")


if __name__ == "__main__":
    main()
