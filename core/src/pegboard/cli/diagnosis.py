"""What is known of the service of a command, which may be unable to start."""

from flask.cli import ScriptInfo

from pegboard import inspection


def diagnose(info: ScriptInfo) -> inspection.Diagnosis:
    """Build the app; if it cannot be built, read its plugins and settings as far as possible."""
    return inspection.diagnose(info.load_app)
