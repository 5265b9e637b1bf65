"""What is known of the service of a command, which may be unable to start."""

import click
from flask.cli import ScriptInfo

from pegboard import inspection


def diagnose(info: ScriptInfo) -> inspection.Diagnosis:
    """Build the app; if it cannot be built, read its plugins and settings as far as possible.

    At the end of the command the connections of what was built in its place are closed.
    """
    found = inspection.diagnose(info.load_app)
    if (context := click.get_current_context(silent=True)) is not None:
        context.find_root().call_on_close(found.disconnect)
    return found
