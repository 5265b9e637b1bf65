"""The commands `pegboard tenants ...`."""

import re
import secrets

import click
from flask.cli import with_appcontext
from sqlalchemy import select

import pegboard
from pegboard_tenants.directory import digest_of
from pegboard_tenants.models import Tenant


@click.group()
def tenants() -> None:
    """Add tenants, and choose their plugins."""


def _name(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not re.fullmatch("[a-z0-9-]{1,40}", value):
        message = "a name has 1 to 40 of a-z, 0-9 and -"
        raise click.BadParameter(message)
    return value


def _plugin(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    names = [plugin.name for plugin in pegboard.get_registry().plugins]
    if value not in names:
        message = f"{value} is not active; these are: {', '.join(names)}"
        raise click.BadParameter(message)
    return value


def _find(name: str) -> Tenant:
    tenant = pegboard.db.session.scalar(select(Tenant).where(Tenant.name == name).with_for_update())
    if tenant is None:
        message = f"There is no tenant {name}."
        raise click.ClickException(message)
    return tenant


def _give_key(tenant: Tenant) -> str:
    key = secrets.token_urlsafe(32)
    tenant.key_digest = digest_of(key)
    return key


@tenants.command()
@click.argument("name", callback=_name)
@with_appcontext
def add(name: str) -> None:
    """Add a tenant, and print its key, which is shown only once."""
    if pegboard.db.session.scalar(select(Tenant.id).where(Tenant.name == name)):
        message = f"There is a tenant {name} already."
        raise click.ClickException(message)
    tenant = Tenant(name=name)
    key = _give_key(tenant)
    pegboard.db.session.add(tenant)
    pegboard.db.session.commit()
    click.echo(key)


@tenants.command()
@click.argument("name")
@with_appcontext
def key(name: str) -> None:
    """Give a tenant another key, and print it; the old one ends."""
    new = _give_key(_find(name))
    pegboard.db.session.commit()
    click.echo(new)


@tenants.command()
@click.argument("name")
@click.argument("plugin", callback=_plugin)
@with_appcontext
def disable(name: str, plugin: str) -> None:
    """Take a plugin's routes away from a tenant."""
    tenant = _find(name)
    tenant.disabled = sorted({*tenant.disabled, plugin})
    pegboard.db.session.commit()


@tenants.command()
@click.argument("name")
@click.argument("plugin")
@with_appcontext
def enable(name: str, plugin: str) -> None:
    """Give a tenant a plugin's routes back."""
    tenant = _find(name)
    tenant.disabled = [one for one in tenant.disabled if one != plugin]
    pegboard.db.session.commit()


@tenants.command("list")
@with_appcontext
def list_tenants() -> None:
    """List the tenants, and the plugins that they do not have."""
    for tenant in pegboard.db.session.scalars(select(Tenant).order_by(Tenant.name)):
        without = f"  without {', '.join(tenant.disabled)}" if tenant.disabled else ""
        click.echo(f"{tenant.name}{without}")
