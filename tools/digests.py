"""Pin the images that Dockerfile and compose.yaml name to the digests that their tags have now.

`postgres:18-alpine` becomes `postgres:18-alpine@sha256:…`: then a build gets the same image until
this is run again. Docker asks the registries, with its credentials, proxies and mirrors.
"""

import re
import subprocess
import sys
from pathlib import Path

import projects

FILES = ("Dockerfile", "compose.yaml")
DOCKER = ("docker", "buildx", "imagetools", "inspect", "--format", "{{.Manifest.Digest}}")
"""Prints the digest of the image that follows."""

_IMAGE = re.compile(
    r"^(ARG BASE=|\s+image: )((?:[\w.-]+/)*[\w.-]+:[\w.-]+)(?:@sha256:\w+)?$", re.MULTILINE
)


def pin(text: str) -> str:
    """Return a file whose images, but those that are built from it, have digests."""
    return _IMAGE.sub(lambda found: f"{found[1]}{found[2]}@{digest_of(found[2])}", text)


def digest_of(image: str) -> str:
    """Ask Docker what a tag names; raises `OSError`."""
    done = subprocess.run([*DOCKER, image], capture_output=True, text=True, check=False)
    digest = done.stdout.strip()
    if not re.fullmatch("sha256:[0-9a-f]{64}", digest):
        message = f"{image}: {done.stderr.strip() or f'no digest, but {digest}'}"
        raise OSError(message)
    return digest


def main(root: Path) -> None:
    """Pin the images of all files, or of none if one of them is not found."""
    texts = {root / name: pin((root / name).read_text("utf-8")) for name in FILES}
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
        print(*(found[0].strip() for found in _IMAGE.finditer(text)), sep="\n")


if __name__ == "__main__":
    try:
        main(projects.ROOT)
    except OSError as error:
        sys.exit(f"Nothing is pinned: {error}")
