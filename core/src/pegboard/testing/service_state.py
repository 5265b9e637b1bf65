"""Ports, passwords and URLs of the servers for development, kept in a file of their folder."""

import json
import os
from pathlib import Path
from typing import Any


def read_state(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what is kept of each server in a folder, by its name."""
    try:
        content = json.loads((folder / "services.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_state(folder: Path, name: str, state: dict[str, Any]) -> None:
    """Keep the state of one server, which only the owner of the file may read."""
    content = json.dumps({**read_state(folder), name: state}, indent=2)
    written = folder / "services.json.new"
    with open(written, "w", encoding="utf-8", opener=_private) as file:
        file.write(content)
    written.replace(folder / "services.json")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
