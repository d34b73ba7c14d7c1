"""The commands: start and stop the server, look at it, and get a shell ready to use it."""

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from clary import __version__
from clary.kernel.core.settings import Settings
from clary.server import home
from clary.server.home import ServerInfo

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Clary: an ML platform on your own machine that speaks the AWS ML APIs.",
)
_out = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 160)
_err = Console(stderr=True, highlight=False)

HomeOption = Annotated[
    Path | None, typer.Option("--home", help="Folder that holds everything. Default: CLARY_HOME, else ~/.clary.")
]


def _settings(folder: Path | None = None, **overrides: Any) -> Settings:
    try:
        return Settings.load(home=str(folder) if folder else None, **overrides)
    except ValueError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    _err.print(f"clary: {message}")
    raise typer.Exit(1)


def _say_how_to_use_it() -> None:
    path = "" if shutil.which("clary") else f"{Path(sys.executable).parent}/"
    _out.print(f'Use it from this shell: eval "$({path}clary env)"')
    _out.print(f"Look at it: {path}clary status     Stop it: {path}clary down")


def _server(folder: Path | None) -> tuple[Settings, ServerInfo]:
    settings = _settings(folder)
    info = home.running(settings.home)
    if info is None:
        _fail(f"no server runs over {settings.home}. Start one with `clary up --detach`.")
    return settings, info


@app.command()
def up(
    folder: HomeOption = None,
    listen: Annotated[str | None, typer.Option(help="HOST:PORT to bind; port 0 takes a free one.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return once the server answers.")] = False,
    ephemeral: Annotated[
        bool, typer.Option("--ephemeral", help="For test suites: allow POST /_clary/reset, which drops all state.")
    ] = False,
) -> None:
    """Start the server."""
    from clary.server.lifecycle import DidNotStart, start_detached

    settings = _settings(folder, listen=listen, ephemeral=ephemeral or None)
    if detach:
        running = home.running(settings.home)
        if running is not None:
            _fail(f"a server already runs over {settings.home} at {running.endpoint} (process {running.pid}).")
        try:
            info = start_detached(settings)
        except DidNotStart as error:
            _fail(f"the server did not start:\n{error}")
        _out.print(f"Clary {info.version} is running at {info.endpoint}")
        _say_how_to_use_it()
        return
    from clary.server.supervisor import CannotStart, Supervisor

    logging.basicConfig(level=logging.INFO, format="%(asctime)s supervisor %(levelname)s %(message)s")
    try:
        Supervisor(settings).run()
    except CannotStart as error:
        _fail(str(error))


@app.command()
def down(folder: HomeOption = None) -> None:
    """Stop the server, its jobs and its endpoints. Endpoints and unfinished jobs start again with the next `up`."""
    from clary.server.lifecycle import end_hosts, stop

    settings = _settings(folder)
    info = home.running(settings.home)
    clean = stop(info) if info is not None else True
    ended = end_hosts(settings)
    if info is None and not ended:
        _out.print(f"No server runs over {settings.home}.")
        return
    _out.print("Stopped." if clean else "Stopped; the server did not end by itself and was killed.")


@app.command()
def env(folder: HomeOption = None) -> None:
    """Print shell exports for the running server: eval "$(clary env)"."""
    import shlex

    from clary.cli.client_env import client_environment
    from clary.kernel.auth.keys import Keys
    from clary.kernel.core.clock import SystemClock
    from clary.kernel.store.sql import open_sqlite

    settings, info = _server(folder)
    store = open_sqlite(settings.home / "records.db")
    key = Keys(store, SystemClock(), settings).default()
    store.close()
    if key is None:
        _fail("this server has no default key: it listens beyond loopback. Use a key made by `clary keys create`.")
    for name, value in client_environment(
        info.endpoint, key.access_key, key.secret, info.region, settings.home
    ).items():
        typer.echo(f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}")


@app.command()
def status(
    folder: HomeOption = None, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Show processes, jobs, endpoints and disk."""
    from clary.cli.status import collect

    settings = _settings(folder)
    report = collect(settings)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
        return
    for title, rows in report.items():
        _out.print(title, style="bold")
        if rows:
            table = Table(*rows[0], box=None, pad_edge=False, header_style="dim")
            for row in rows:
                table.add_row(*(str(value) for value in row.values()))
            _out.print(table)
        else:
            _out.print("none", style="dim")
        _out.print()


@app.command()
def doctor() -> None:
    """Say what is missing on this machine for which capability, and how to get it."""
    from clary.cli.doctor import examine

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "capability", "finding", "how to get it"):
        table.add_column(column)
    for check in examine(_settings()):
        table.add_row("ok" if check.ok else "--", check.capability, check.finding, "" if check.ok else check.remedy)
    _out.print(table)


@app.command()
def logs(
    group: Annotated[str | None, typer.Argument(help="Log group, such as /aws/sagemaker/TrainingJobs.")] = None,
    stream: Annotated[str | None, typer.Option(help="Only streams whose name begins with this.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing what comes.")] = False,
    folder: HomeOption = None,
) -> None:
    """Print the server's own log, or a log group of jobs and endpoints."""
    from clary.cli.logs import print_group, print_server

    settings = _settings(folder)
    if group is None:
        print_server(settings, follow)
    else:
        print_group(_server(folder), group, stream, follow)


@app.command()
def coverage(
    service: Annotated[str | None, typer.Argument(help="One service: list its operations.")] = None,
) -> None:
    """Show, per service, which operations work."""
    from clary.kernel.rooms import Registry
    from clary.kernel.wire import SERVICES
    from clary.kernel.wire import service as wire_service

    handlers = Registry().handlers
    if service is not None:
        if service not in SERVICES:
            _fail(f"no service {service!r} in scope. Choose from: {', '.join(SERVICES)}")
        for name in sorted(wire_service(service).operations):
            typer.echo(f"{'works' if (service, name) in handlers else '-----'}  {name}")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("service", "works", "of"):
        table.add_column(column, justify="left" if column == "service" else "right")
    for name in SERVICES:
        operations = wire_service(name).operations
        table.add_row(name, str(sum((name, operation) in handlers for operation in operations)), str(len(operations)))
    _out.print(table)


@app.command()
def demo(folder: HomeOption = None) -> None:
    """Run the main job against the running server: upload, train, deploy, score."""
    from clary.cli.demo import program_path

    settings, info = _server(folder)
    shell = 'eval "$("$0" -m clary.cli env --home "$1")" && exec "$0" "$2"'
    arguments = [sys.executable, str(settings.home), str(program_path())]
    status = subprocess.run(["/bin/sh", "-c", shell, *arguments], check=False).returncode
    if status == 0:
        _out.print(f"\nClary goes on running at {info.endpoint}.")
        _say_how_to_use_it()
    raise typer.Exit(status)


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(f"clary {__version__}")
        raise typer.Exit


def _add_keys() -> None:
    from clary.cli.keys import keys

    app.add_typer(keys, name="keys")


_add_keys()
