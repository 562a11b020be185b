"""After a check was corrected: which tasks that concerns, and who gains or loses.

A task is concerned if its own checks changed, or a helper of the check file that they use, its forbidden routines, or
its mutants, whose hints students read. Each graded submission's record holds these hashes and, once it was graded
again unchanged, what it earned before.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path

from grading.audit import read_answers
from grading.course import Notebook, UserError

UNTOUCHED = ("not started", "unreadable")  # no check can change these


@dataclass(frozen=True)
class Change:
    """One row of changes.csv: a task whose points changed though what was handed in did not."""

    student: str
    assignment: str
    task: str
    before: float
    after: float
    why: str

    def __str__(self) -> str:
        place = f"{self.student}, {self.assignment}, {self.task}"
        verb = "gains" if self.after > self.before else "loses"
        return f"{place}: {self.before:g} -> {self.after:g}, {verb} {abs(self.after - self.before):g}: {self.why}"


# ---------------------------------------------------------------- what changed


@cache
def check_hashes(notebook: Notebook) -> dict[str, str]:
    """A hash of all that a task's verdict takes from the checks and mutants, by task."""
    try:
        body = ast.parse(notebook.checks.read_bytes()).body
    except (OSError, SyntaxError) as error:
        raise UserError(f"The checks in {notebook.checks} cannot be used: {error}.") from None
    forbidden, parts = {}, []
    for node in body:
        if _names_bound(node) == {"FORBIDDEN"}:
            forbidden = _by_key(node)
        else:
            parts.append((node, _names_bound(node), _names_used(node), _task_of(node)))
    answers: dict[str, list] = {}
    for answer in read_answers(notebook):
        answers.setdefault(answer.task, []).append(astuple(answer))
    tasks = {task for *_, task in parts if task} | forbidden.keys() | answers.keys()
    return {
        task: _hash([*_source_of(task, parts), forbidden.get(task, ""), *answers.get(task, [])])
        for task in sorted(tasks)
    }


def _hash(parts: list) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _source_of(task: str, parts: list[tuple]) -> list[str]:
    """A task's checks, and of the rest of the file what they use, and what that uses, and what defines no name."""
    chosen = {i for i, (_, bound, _, owner) in enumerate(parts) if owner == task or (not owner and not bound)}
    while True:
        used = set().union(*(parts[i][2] for i in chosen))
        more = {i for i, (_, bound, _, owner) in enumerate(parts) if not owner and bound & used} - chosen
        if not more:
            return [ast.dump(parts[i][0]) for i in sorted(chosen)]
        chosen |= more


def _task_of(node: ast.stmt) -> str | None:
    """The task that a class or function is marked with."""
    for call in getattr(node, "decorator_list", []):
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("mark.task") and call.args:
            return str(ast.literal_eval(call.args[0]))
    return None


def _names_bound(node: ast.stmt) -> set[str]:
    """The names that a statement at the top level defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _names_used(node: ast.stmt) -> set[str]:
    """The names that a statement reads; a fixture is named by an argument or in a string."""
    found = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            found.add(part.id)
        elif isinstance(part, ast.arg):
            found.add(part.arg)
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            found.add(part.value)
    return found


def _by_key(node: ast.stmt) -> dict[str, str]:
    """The entries of a dict that is written out; under no task if it is not."""
    value = getattr(node, "value", None)
    if not isinstance(value, ast.Dict):
        return {}
    pairs = zip(value.keys, value.values, strict=True)
    return {str(key.value): ast.dump(entry) for key, entry in pairs if isinstance(key, ast.Constant)}


def is_concerned(record: dict, notebook: Notebook) -> bool:
    """Whether changed checks can change the outcome of a graded submission.

    Args:
        record: What is recorded of it; see `grading.grade.Run.finish`.
        notebook: Its assignment.
    """
    now = check_hashes(notebook)
    statuses = {name: verdict["status"] for name, verdict in record["outcome"]["tasks"].items()}
    changed = {task for task in statuses if record["checks"].get(task) != now.get(task)}
    return any(statuses[task] not in UNTOUCHED for task in changed)


# ---------------------------------------------------------------- who gains or loses


def essence(outcome: dict) -> dict:
    """Of an outcome what is kept for the comparison: points and failed checks, by task."""
    return {
        name: {
            "score": verdict["score"],
            "checks": {found["sentence"]: found["passed"] for found in verdict["outcomes"]},
            "status": verdict["status"],
        }
        for name, verdict in outcome["tasks"].items()
    }


def compare(before: dict, after: dict) -> Iterator[tuple[str, float, float, str]]:
    """Tasks whose points changed: task, points before and after, and why."""
    for task, new in after.items():
        old = before.get(task)
        if old is not None and old["score"] != new["score"]:
            yield task, old["score"], new["score"], _why(old, new)


def _why(old: dict, new: dict) -> str:
    passed = {name for name, ok in new["checks"].items() if ok}
    told = {
        "holds now": [name for name in new["checks"] if name in passed and old["checks"].get(name) is False],
        "does not hold now": [name for name in new["checks"] if name not in passed and old["checks"].get(name)],
        "new and holds": [name for name in new["checks"] if name in passed and name not in old["checks"]],
        "new and does not hold": [n for n in new["checks"] if n not in passed and n not in old["checks"]],
        "checked no more": [name for name in old["checks"] if name not in new["checks"]],
    }
    sentences = [f"{words}: {', '.join(names)}" for words, names in told.items() if names]
    if old["status"] != new["status"] and not (old["checks"] and new["checks"]):
        return f"{old['status']} before, {new['status']} now"
    return "; ".join(sentences) or "the weights of its checks changed"


class Before:
    """What submissions earned before they are graded again, kept on disk until the new grade is recorded.

    Args:
        folder: Where; a run that is killed goes on with what is there.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def _path(self, student: str, assignment: str) -> Path:
        return self.folder / student / f"{assignment}.json"

    def keep(self, student: str, assignment: str, record: dict) -> None:
        """Keep what a record says, if it says anything."""
        if "handed_in" in record:
            path = self._path(student, assignment)
            path.parent.mkdir(parents=True, exist_ok=True)
            scratch = path.with_suffix(".part")
            scratch.write_text(json.dumps({"handed_in": record["handed_in"], "tasks": essence(record["outcome"])}))
            scratch.replace(path)

    def get(self, student: str, assignment: str, handed_in: str) -> dict | None:
        """What the same submission earned before; None if it is another, or the first."""
        try:
            found = json.loads(self._path(student, assignment).read_text())
        except (OSError, ValueError):
            return None
        return found["tasks"] if found["handed_in"] == handed_in else None

    def forget(self, student: str, assignment: str) -> None:
        """The new grade is recorded."""
        self._path(student, assignment).unlink(missing_ok=True)
