"""Make mutants of a module with mutmut, and find what each of them changes."""

import ast
import difflib
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mutmut.mutation.file_mutation import mutate_file_contents

from tools.mutants.changes import Change, find_change

_ORIGINAL = "__mutmut_orig"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A changed function of a module.

    `name` is the one that mutmut's trampoline expects: module, mangled function, number. `diff` is
    a unified diff of the function; `change` what differs.
    """

    name: str
    function: str
    diff: str
    change: Change


def mutate(path: str, source: str, cache: Path) -> tuple[str, list[Mutant]]:
    """Return the code of a module with all its mutants, and the mutants.

    Each function of the code calls a mutant, or the original, by a variable of the environment.
    `cache` is a directory: making mutants takes seconds for each file.
    """
    digest = hashlib.sha256(f"{path}\n{source}".encode()).hexdigest()
    kept = cache / f"{digest}.json"
    if kept.is_file():
        code, names = json.loads(kept.read_text("utf-8"))
    else:
        file = mutate_file_contents(path, source)
        code, names = file.code, list(file.mutant_names)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps([code, names]), "utf-8")
    module = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    return code, list(_mutants(module, path, code, names))


def _mutants(module: str, path: str, code: str, names: Sequence[str]) -> Iterator[Mutant]:
    lines = code.splitlines()
    functions = {node.name: node for node in _functions(ast.parse(code))}
    for name in names:
        function = name.partition("__mutmut")[0]
        original, changed = functions[function + _ORIGINAL], functions[name]
        yield Mutant(
            f"{module}.{name}",
            f"{module}.{function}",
            _diff(path, _text(lines, original), _text(lines, changed)),
            find_change(original, changed),
        )


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in tree.body:
        for each in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                yield each


def _text(lines: Sequence[str], node: ast.stmt) -> list[str]:
    """Return the lines of a function without the first one, which has its mangled name."""
    return [f"{line}\n" for line in lines[node.lineno : node.end_lineno]]


def _diff(path: str, before: Sequence[str], after: Sequence[str]) -> str:
    return "".join(difflib.unified_diff(before, after, path, path))
