"""The Dockerfile as values: stages of instructions, to be checked, or run without Docker."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"


@dataclass(frozen=True)
class Instruction:
    """One instruction: `flags` are its leading `--name=value`."""

    name: str
    flags: tuple[str, ...]
    rest: str

    @property
    def words(self) -> list[str]:
        return self.rest.split()

    @property
    def exec_form(self) -> list[str] | None:
        """The program and its arguments, None for a line that a shell is to read."""
        try:
            parsed = json.loads(self.rest.removeprefix("CMD").strip())
        except ValueError:
            return None
        return parsed if isinstance(parsed, list) else None


@dataclass
class Stage:
    """What FROM begins."""

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, name: str) -> list[Instruction]:
        return [each for each in self.instructions if each.name == name]

    def only(self, name: str) -> Instruction:
        (found,) = self.all(name)
        return found


def stages(text: str, arguments: Mapping[str, str]) -> list[Stage]:
    """Parse; `arguments` are those of --build-arg, for FROM lines."""
    found: list[Stage] = []
    known: dict[str, str] = {}
    for instruction in _instructions(text):
        if instruction.name == "FROM":
            image, _, name = instruction.rest.partition(" AS ")
            for key, value in known.items():
                image = image.replace(f"${{{key}}}", value)
            found.append(Stage(image, name or "final"))
        elif found:
            found[-1].instructions.append(instruction)
        else:
            key, _, default = instruction.rest.partition("=")
            known[key] = arguments.get(key, default)
    return found


def _instructions(text: str) -> list[Instruction]:
    kept = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(kept))
    parsed = []
    for line in filter(str.strip, joined.splitlines()):
        name, rest = line.split(maxsplit=1)
        flags = []
        while found := re.match(r"\s*(--[a-z-]+=\S+)\s+", rest):
            flags.append(found[1])
            rest = rest[found.end() :]
        parsed.append(Instruction(name, tuple(flags), rest.strip()))
    return parsed
