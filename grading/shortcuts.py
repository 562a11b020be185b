"""Finds library routines that are a whole task in the source of an answer. Comments and strings do not count."""

from __future__ import annotations

import ast
from collections import ChainMap
from collections.abc import Iterable, Mapping, MutableMapping
from functools import lru_cache

FORBIDDEN = "ForbiddenShortcut"
MAX_PARTS, MAX_LENGTH = 12, 200  # of a dotted name; longer ones are no routine of a library


def sentence(names: Iterable[str], routines: Iterable[str]) -> str | None:
    """What a student is told whose function used a forbidden routine; None if an error was another one."""
    names = list(names)
    used = [name for name in names[1:2] if name in set(routines)]
    return f"it uses {used[0]}, which is the task itself" if names[:1] == [FORBIDDEN] and used else None


def uses(task: str, sources: Iterable[str], routines: Iterable[str]) -> list[str]:
    """The routines that a function uses, itself or through other functions of the notebook.

    Args:
        task: Name of the function or class.
        sources: The notebook's code cells, in order.
        routines: Dotted names.
    """
    aliases, definitions = _outline(tuple(sources))
    reached, todo, found = set(), [task], set()
    while todo:
        name = todo.pop()
        if name in reached or name not in definitions:
            continue
        reached.add(name)
        node = definitions[name]
        local = ChainMap({}, aliases)
        for part in ast.walk(node):
            _note_aliases(part, local)
        own = {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
        own |= {part.arg for part in ast.walk(node) if isinstance(part, ast.arg)}
        for part in ast.walk(node):
            if isinstance(part, (ast.Name, ast.Attribute)):
                found.add(_dotted(part, local))
            if isinstance(part, ast.Name) and part.id not in own:
                todo.append(part.id)
            found |= _by_getattr(part, local)
    return [routine for routine in routines if routine in found]


@lru_cache(maxsize=2)
def _outline(sources: tuple[str, ...]) -> tuple[dict[str, str], dict[str, ast.AST]]:
    """What the notebook's names stand for in libraries, and its functions and classes by name."""
    aliases: dict[str, str] = {}
    definitions: dict[str, ast.AST] = {}
    for source in sources:
        tree = _parsed(source)
        for node in tree.body if tree is not None else ():
            _note_aliases(node, aliases)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                definitions[node.name] = node
    return aliases, definitions


def _parsed(source: str) -> ast.Module | None:
    lines = (line if line.lstrip()[:1] not in ("%", "!") else "pass" for line in source.splitlines())
    try:
        return ast.parse("\n".join(lines))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _note_aliases(node: ast.AST, aliases: MutableMapping[str, str]) -> None:
    if isinstance(node, ast.Import):
        for name in node.names:
            top = name.name.split(".")[0]
            aliases[name.asname or top] = name.name if name.asname else top
    elif isinstance(node, ast.ImportFrom) and node.module:
        for name in node.names:
            aliases[name.asname or name.name] = f"{node.module}.{name.name}"
    elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        dotted = _dotted(node.value, aliases)
        if dotted and dotted.split(".")[0] != node.targets[0].id and "." in dotted:
            aliases[node.targets[0].id] = dotted


def _dotted(node: ast.AST, aliases: Mapping[str, str]) -> str:
    """The dotted name of an expression with its aliases resolved, or nothing."""
    parts = []
    while isinstance(node, ast.Attribute) and len(parts) < MAX_PARTS:
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    dotted = ".".join([aliases.get(node.id, node.id), *reversed(parts)])
    return dotted if len(dotted) <= MAX_LENGTH else ""


def _by_getattr(node: ast.AST, aliases: Mapping[str, str]) -> set[str]:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr"):
        return set()
    if len(node.args) < 2 or not isinstance(node.args[1], ast.Constant):
        return set()
    return {f"{_dotted(node.args[0], aliases)}.{node.args[1].value}"}
