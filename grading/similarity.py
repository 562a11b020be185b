"""Which submissions of a class look alike: a list to look at, never a verdict.

Code is read as tokens, without comments, docstrings and layout and with every name that a student can choose replaced,
so that renaming hides nothing. What two students share is counted in fragments of `LENGTH` tokens of the same task.
Fragments of the stub, of our solution and of its known variants and mutants count for nobody, nor do those that many
students wrote. What is left is each student's own, and pairs with little of their own are not compared.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from pygments.lexers import PythonLexer
from pygments.token import Token

from grading.audit import read_answers
from grading.course import Notebook, grade_id, is_solution

LENGTH = 10  # tokens of a fragment: about a line of code
LEAST = 40  # fragments of one's own: with fewer there is nothing to compare
SHARE = 0.5  # of the fragments of whoever has fewer
FEW = 3  # a fragment that more students wrote (or a tenth of the class) is common knowledge

Sources = dict[str, str]  # a student's code by task
_lexer = PythonLexer()


@dataclass(frozen=True)
class Pair:
    """Two students whose code is alike.

    Attributes:
        first, second: Their names.
        share: Of the fragments of whoever has fewer, how many the other has, too.
        fragments: How many these are.
        tasks: Where they are, most first.
    """

    first: str
    second: str
    share: float
    fragments: int
    tasks: list[str]


def words(source: str) -> list[str]:
    """The tokens of some code, however broken it is: names become `V`, strings `S`, comments and docstrings go."""
    found = []
    for kind, text in _lexer.get_tokens(source):
        if kind in Token.Comment or kind in Token.Text or kind in Token.Literal.String.Doc:
            continue
        if kind in Token.Literal.String:
            if not found or found[-1] != "S":
                found.append("S")
        elif kind in Token.Name and kind not in Token.Name.Builtin:
            found.append("V")
        else:
            found.append(text)
    return found


def fragments(sources: Sources) -> set[tuple[str, int]]:
    """The fragments of a student's code: the task and a hash of the tokens."""
    found = set()
    for task, source in sources.items():
        tokens = words(source)
        found |= {(task, hash(tuple(tokens[i : i + LENGTH]))) for i in range(len(tokens) - LENGTH + 1)}
    return found


def graded_sources(path: Path) -> Sources:
    """The solution cells of a graded notebook; empty if it cannot be read."""
    try:
        cells = json.loads(path.read_bytes())["cells"]
    except (OSError, ValueError, KeyError):
        return {}
    found = {}
    for cell in cells:
        known = cell["metadata"].get("nbgrader", {})
        if cell["cell_type"] == "code" and known.get("solution"):
            found[known["grade_id"]] = "".join(cell["source"])
    return found


def given(notebook: Notebook) -> set[tuple[str, int]]:
    """Fragments that are no student's own: of the stubs, of our solution, of the known wrong and right answers."""
    found: set[tuple[str, int]] = set()
    for nb in (notebook.read_release(), notebook.read_source()):
        found |= fragments({grade_id(cell): cell.source for cell in nb.cells if is_solution(cell)})
    for answer in read_answers(notebook):
        found |= fragments({answer.task: answer.source})
    return found


def alike(students: dict[str, Sources], common: set[tuple[str, int]]) -> list[Pair]:
    """The pairs of students whose code is alike, most alike first.

    Args:
        students: Each student's code.
        common: Fragments that count for nobody.
    """
    theirs = {name: fragments(sources) - common for name, sources in students.items()}
    times = Counter(fragment for found in theirs.values() for fragment in found)
    limit = max(FEW, len(students) // 10)
    own = {name: {fragment for fragment in found if times[fragment] <= limit} for name, found in theirs.items()}
    enough = {name: found for name, found in own.items() if len(found) >= LEAST}
    return sorted(_pairs(enough), key=lambda pair: (-pair.share, -pair.fragments, pair.first))


def _pairs(own: dict[str, set]) -> Iterator[Pair]:
    for (first, one), (second, other) in combinations(own.items(), 2):
        shared = one & other
        share = len(shared) / min(len(one), len(other))
        if share >= SHARE:
            tasks = Counter(task for task, _ in shared)
            yield Pair(first, second, share, len(shared), [task for task, _ in tasks.most_common()])
