"""The `clary` command."""


def main() -> None:
    """Run the command line. Imports it late, so that importing the package costs nothing."""
    from clary.cli.app import app

    app()
