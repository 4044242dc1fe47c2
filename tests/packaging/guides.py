"""The shell commands of a guide in docs/how-to, by their headings."""

import re
from dataclasses import dataclass
from pathlib import Path

_PART = re.compile(
    r"^## (?P<heading>[^\n]+)$|^```sh\n(?P<commands>.*?)^```", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """One block of commands, to be run by one shell."""

    heading: str
    commands: str


def blocks(guide: Path, heading: str | None = None) -> list[Block]:
    """Return the blocks of a guide in their order, or those under one heading."""
    current, found = "", []
    for part in _PART.finditer(guide.read_text()):
        if part["heading"]:
            current = part["heading"]
        else:
            found.append(Block(current, part["commands"]))
    return [block for block in found if heading in {None, block.heading}]
