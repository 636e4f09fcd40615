#!/usr/bin/env python3
"""Write the generated parts of the README: settings and commands.

`--check` writes nothing: it compares, and looks for links in the documentation that lead nowhere.

    make_docs.py [--check]

A generated part stands between `<!-- begin NAME -->` and `<!-- end NAME -->`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from memeapp.cli import main as command_line
from memeapp.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"


LEFT_OUT = ("[OPTIONS]", "[COMMAND] [ARGS]...")
"""Parts of a usage line that the table tells otherwise."""


def settings_table() -> str:
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for knob in fields(Settings):
        default = "`models` beside the package" if knob.name == "models" else f"`{knob.default}`"
        if knob.default in ("", None):
            default = "(empty)"
        rows.append(f"| `MEMEAPP_{knob.name.upper()}` | {default} | {knob.metadata['help']} |")
    return "\n".join(rows)


def commands(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            if command.invoke_without_command:
                yield prefix + name, command
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def commands_table() -> str:
    rows = ["| command | what it does |", "| --- | --- |"]
    for name, command in commands(command_line):
        pieces = command.collect_usage_pieces(click.Context(command))
        usage = " ".join(["memeapp", name, *(part for part in pieces if part not in LEFT_OUT)])
        summary = (command.help or "").split("\n\n")[0].replace("\n", " ")
        options = ", ".join(
            f"`{option.opts[0]}`"
            for option in command.params
            if isinstance(option, click.Option) and not option.hidden
        )
        rows.append(f"| `{usage}` | {summary}{f' Options: {options}.' if options else ''} |")
    return "\n".join(rows)


PARTS = {"settings": settings_table, "commands": commands_table}


def render(text: str) -> str:
    for name, make in PARTS.items():
        pattern = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        part = pattern.search(text)
        if not part:
            sys.exit(f"{README.name} has no part between <!-- begin {name} --> and <!-- end … -->")
        text = f"{text[: part.start()]}{part[1]}{make()}\n{part[2]}{text[part.end() :]}"
    return text


def broken_links(document: Path) -> Iterator[str]:
    """Relative links and pictures of a Markdown file that lead nowhere."""
    for target in re.findall(r"\]\(([^)#]+)", document.read_text(encoding="utf-8")):
        if "://" not in target and not (document.parent / target).exists():
            yield f"{document.relative_to(ROOT)}: {target} does not exist."


def main() -> None:
    text = README.read_text(encoding="utf-8")
    made = render(text)
    if "--check" in sys.argv[1:]:
        documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("models/*/*.md")]
        if problems := [problem for one in documents for problem in broken_links(one)]:
            sys.exit("\n".join(problems))
        if made != text:
            sys.exit("The generated parts of the README are out of date: run `make docs`.")
    elif made != text:
        README.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
