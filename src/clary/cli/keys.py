"""`clary keys`: make, list and take back the access keys of an account's root."""

from pathlib import Path
from typing import Annotated

import typer

from clary.kernel.auth.keys import Keys
from clary.kernel.core.clock import SystemClock
from clary.kernel.core.settings import Settings
from clary.kernel.store.sql import open_sqlite
from clary.server import home

keys = typer.Typer(no_args_is_help=True, help="Make, list and delete access keys.")

HomeOption = Annotated[Path | None, typer.Option("--home", help="Default: CLARY_HOME, else ~/.clary.")]


def _open(folder: Path | None) -> Keys:
    settings = Settings.load(home=str(folder) if folder else None)
    home.prepare(settings.home)
    return Keys(open_sqlite(settings.home / "records.db"), SystemClock(), settings)


@keys.command()
def create(
    account: Annotated[str | None, typer.Option(help="12-digit account; default: the default account.")] = None,
    folder: HomeOption = None,
) -> None:
    """Make a key pair and print it. The secret is shown this once."""
    if account is not None and (len(account) != 12 or not account.isdigit()):
        raise typer.BadParameter("an account is 12 digits", param_hint="--account")
    made = _open(folder).create_root_key(account)
    typer.echo(f"export AWS_ACCESS_KEY_ID={made.access_key}\nexport AWS_SECRET_ACCESS_KEY={made.secret}")


@keys.command(name="list")
def list_keys(folder: HomeOption = None) -> None:
    """List access keys: id, account, whose, and whether it works."""
    for credential in _open(folder).all():
        state = "active" if credential.active else "inactive"
        typer.echo(f"{credential.access_key}  {credential.principal.account}  {credential.principal.arn}  {state}")


@keys.command()
def delete(access_key: str, folder: HomeOption = None) -> None:
    """Delete a key; requests signed with it are refused within a second."""
    if not _open(folder).delete(access_key):
        typer.echo(f"clary: no access key {access_key}", err=True)
        raise typer.Exit(1)
