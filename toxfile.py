"""What tox loads beside tox.ini: uv, which makes the environments, finds packages where pip does.

uv reads no configuration of pip. The index, proxy and certificate that pip is told of, in its file
or by `PIP_*`, need not be told to uv again; what `UV_*` says has precedence.
"""

import ast
import os
import subprocess
import sys

VARIABLES = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "no-index": ("UV_NO_INDEX", " "),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "timeout": ("UV_HTTP_TIMEOUT", " "),
    "default-timeout": ("UV_HTTP_TIMEOUT", " "),
    "cert": ("SSL_CERT_FILE", " "),
    "proxy": ("HTTPS_PROXY", " "),
}
"""The options of pip that uv has as well: its variable, and what separates several values."""

SECTIONS = ("global", "install", ":env:")
"""Where pip finds options, in the order in which one has precedence over those before."""


def pip_options() -> dict[str, str]:
    """Return the options that `pip install` has, by name; none where there is no pip."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    found: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for line in done.stdout.splitlines():
        place, _, text = line.partition("=")
        section, _, name = place.rpartition(".")
        if section in found:
            found[section][name] = str(ast.literal_eval(text))
    return {name: value for section in SECTIONS for name, value in found[section].items()}


def uv_variables(options: dict[str, str]) -> dict[str, str]:
    """Return the variables that tell uv what these options tell pip."""
    variables = {
        variable: separator.join(options[name].split())
        for name, (variable, separator) in VARIABLES.items()
        if options.get(name)
    }
    if "UV_INDEX" in variables:
        # As pip does: the best version that any of the indexes has.
        variables["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return variables


for variable, value in uv_variables(pip_options()).items():
    os.environ.setdefault(variable, value)
# An interpreter that is not there is left out, and not downloaded.
os.environ.setdefault("UV_PYTHON_DOWNLOADS", "never")
