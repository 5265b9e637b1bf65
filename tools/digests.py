"""Pin the images that Dockerfile and compose.yaml name to the digests that their tags have now.

`postgres:18-alpine` becomes `postgres:18-alpine@sha256:…`: then a build gets the same image until
this is run again. It asks the registry of each image as its clients do (OCI Distribution
Specification), without credentials.
"""

import json
import re
import sys
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import projects

FILES = ("Dockerfile", "compose.yaml")
DEFAULT = "registry-1.docker.io"
"""Where images are that name no registry; see docker(1)."""

_IMAGE = re.compile(
    r"^(ARG BASE=|\s+image: )((?:[\w.-]+/)*[\w.-]+:[\w.-]+)(?:@sha256:\w+)?$", re.MULTILINE
)
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)


def pin(text: str, digest_of: Callable[[str], str]) -> str:
    """Return a file whose images, but those that are built from it, have digests."""

    def pinned(found: re.Match[str]) -> str:
        return f"{found[1]}{found[2]}@{digest_of(found[2])}"

    return _IMAGE.sub(pinned, text)


def digest_of(image: str, scheme: str = "https", default: str = DEFAULT) -> str:
    """Ask a registry what a tag names; raises `OSError`."""
    name, _, tag = image.rpartition(":")
    host, _, path = name.partition("/")
    if "." not in host:
        host, path = default, name if "/" in name else f"library/{name}"
    url = f"{scheme}://{host}/v2/{path}/manifests/{tag}"
    ask = Request(url, method="HEAD", headers={"Accept": ", ".join(_MANIFESTS)})  # noqa: S310
    try:
        answer = urlopen(ask, timeout=30)  # noqa: S310 - as above, of a registry
    except HTTPError as error:
        with error:
            if error.code != HTTPStatus.UNAUTHORIZED:
                raise
            ask.add_header("Authorization", f"Bearer {_token(error.headers['WWW-Authenticate'])}")
        answer = urlopen(ask, timeout=30)  # noqa: S310
    with answer:
        digest = str(answer.headers["Docker-Content-Digest"])
    if not re.fullmatch("sha256:[0-9a-f]{64}", digest):
        message = f"{url}: no digest, but {digest}"
        raise OSError(message)
    return digest


def _token(challenge: str) -> str:
    """Get the token that a registry gives to anybody."""
    given = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    query = urlencode({name: given[name] for name in ("service", "scope") if name in given})
    with urlopen(f"{given['realm']}?{query}", timeout=30) as answer:  # noqa: S310
        return str(json.load(answer)["token"])


def main(root: Path, digest_of: Callable[[str], str]) -> None:
    """Pin the images of all files, or of none if a registry does not answer."""
    texts = {root / name: pin((root / name).read_text("utf-8"), digest_of) for name in FILES}
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
        print(*(found[0].strip() for found in _IMAGE.finditer(text)), sep="\n")


if __name__ == "__main__":
    try:
        main(projects.ROOT, digest_of)
    except OSError as error:
        sys.exit(f"Nothing is pinned: {error}")
