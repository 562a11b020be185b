"""A simulated class: what students hand in, made from solutions, variants, mutants and stubs."""

from __future__ import annotations

import copy
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from grading.audit import Answer, read_answers
from grading.course import Notebook, UserError, grade_id, is_answer, is_solution
from grading.handed_in import TIMESTAMP

NAMES = """ada bruno carla deniz elif farid greta hugo ines jonas katja leon mira noah olga pavel quynh rosa samir tilda
umut vera wanda xaver yusuf zoe""".split()  # fmt: skip # noqa: SIM905
DUE = datetime(2026, 11, 30, 22, tzinfo=UTC)
WRONG_ANSWER = "I am not sure, but I think that it is right as it stands."


def student_names(count: int) -> list[str]:
    """As many names as asked for, numbered when they repeat."""
    return [NAMES[i] if i < len(NAMES) else f"{NAMES[i % len(NAMES)]}{i // len(NAMES) + 1}" for i in range(count)]


def make_class(notebooks: list[Notebook], folder: Path, count: int = 24, seed: int = 0) -> list[str]:
    """Write a class's submissions as `folder/<student>/<assignment>/<notebook>.ipynb`.

    The first student hands in our solution, the second the untouched release, the last a broken file. Each other
    student has a skill: the better, the more tasks are solved in their own way, the fewer are wrong or missing.

    Returns:
        The students' names.
    """
    if count < 4:
        raise UserError("A class needs at least 4 students.")
    names = student_names(count)
    for notebook in notebooks:
        release = notebook.read_release()
        solution = nbformat.read(notebook.solution, as_version=4)
        answers = read_answers(notebook)
        for number, name in enumerate(names):
            path = folder / name / notebook.assignment / notebook.release.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(TIMESTAMP).write_text(_time(f"{seed} {notebook.name} {name}"))
            if number == 0:
                nbformat.write(_answered(release, _sources(solution)), path)
            elif number == 1:
                nbformat.write(release, path)
            elif number == count - 1:
                path.write_text(nbformat.writes(solution)[:2000])
            else:
                rng = random.Random(f"{seed} {notebook.name} {number}")
                skill = 0.35 + 0.6 * (number % 12) / 11
                nbformat.write(_answered(release, _own_way(_sources(solution), answers, skill, rng)), path)
    return names


def _time(seed: str) -> str:
    """When a student hands in, as nbgrader writes it: most do so shortly before the end."""
    hours = min(14 * 24, random.Random(seed).expovariate(1 / 30))
    return f"{DUE - timedelta(hours=hours):%Y-%m-%d %H:%M:%S.%f UTC}"


def _sources(nb: NotebookNode) -> dict[str, str]:
    return {grade_id(cell): cell.source for cell in nb.cells if is_solution(cell) or is_answer(cell)}


def _own_way(sources: dict[str, str], answers: list[Answer], skill: float, rng: random.Random) -> dict[str, str]:
    """A student's answers: right ones in other words, mistakes that students make, or none at all."""
    chosen = {}
    for name, ours in sources.items():
        right = [answer.source for answer in answers if answer.task == name and not answer.is_mutant] + [ours]
        wrong = [answer.source for answer in answers if answer.task == name and answer.is_mutant]
        if name.startswith("answer_"):
            wrong = [WRONG_ANSWER]
        luck = rng.random()
        if luck < skill:
            chosen[name] = rng.choice(right)
        elif wrong and luck < skill + 0.75 * (1 - skill):
            chosen[name] = rng.choice(wrong)
    return chosen


def _answered(release: NotebookNode, sources: dict[str, str]) -> NotebookNode:
    nb = copy.deepcopy(release)
    for cell in nb.cells:
        if grade_id(cell) in sources:
            cell.source = sources[grade_id(cell)]
    return nb
