"""Which plugins may be active, and what a problem of one does."""

from marshmallow import ValidationError

from pegboard.settings.declare import Settings, setting

_POLICIES = ("abort", "skip")


def _policies(value: dict[str, str]) -> None:
    wrong = [f"{name}={policy}" for name, policy in value.items() if policy not in _POLICIES]
    if wrong:
        message = f"Not {', '.join(wrong)}: a policy is abort or skip, as in search=skip,*=abort."
        raise ValidationError(message)


class PluginSettings(Settings):
    """Lists of plugins, and policies."""

    plugins: tuple[str, ...] | None = setting(
        None, doc="The only plugins that may be active, comma-separated; no other is imported."
    )
    plugins_disabled: tuple[str, ...] = setting(
        (), doc="Plugins that are disabled, comma-separated; they are not imported."
    )
    safe: bool = setting(
        default=False, doc="Have no third-party plugin: only those that are Pegboard's own."
    )
    plugins_policy: dict[str, str] = setting(
        {},
        doc="What to do if a plugin has a problem: name=abort or name=skip; * is all others.",
        validate=_policies,
    )
