"""Commands for the tokens of programs."""

from __future__ import annotations

import click

from memeapp.cli.common import COMMAND_LINE, build
from memeapp.settings import Settings


@click.group()
def token() -> None:
    """Tokens by which programs start trainings or read the metrics over HTTP."""


@token.command(name="make")
@click.argument("name")
@click.option("--days", type=int, help="After which it lets nobody in; never otherwise.")
@click.option(
    "--for",
    "scope",
    type=click.Choice(["retrain", "metrics"]),
    default="retrain",
    show_default=True,
    help="What it is good for.",
)
@click.pass_obj
def make(settings: Settings, name: str, days: int | None, scope: str) -> None:
    """Make a token for the program NAME and print it, this once."""
    app = build(settings)
    made, secret = app.tokens.make(name, days, [scope])
    app.store.note(COMMAND_LINE, "token.make", made.name, details={"days": days, "scope": scope})
    click.echo(f"Token {made.id}, shown this once:", err=True)
    click.echo(secret)


@token.command(name="list")
@click.pass_obj
def list_(settings: Settings) -> None:
    """List the tokens, newest first."""
    app = build(settings)
    for one in app.tokens.all():
        state = "revoked" if one.revoked_at else "expired" if app.tokens.expired(one) else "good"
        used = f"last used {one.last_used_at[:16]}" if one.last_used_at else "never used"
        until = f", until {one.expires_at[:16]}" if one.expires_at else ""
        click.echo(f"{one.id} {one.name}: {state} for {', '.join(one.scopes)}, {used}{until}")


@token.command(name="revoke")
@click.argument("number", type=click.IntRange(0))
@click.pass_obj
def revoke(settings: Settings, number: int) -> None:
    """Let the token NUMBER let nobody in any more."""
    app = build(settings)
    gone = app.tokens.revoke(number)
    app.store.note(COMMAND_LINE, "token.revoke", f"token {gone.id}")
    click.echo(f"The token {gone.name!r} lets nobody in any more.")
