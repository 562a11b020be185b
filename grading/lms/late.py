"""What a late submission costs: a plug-in of nbgrader, set in grading/nbgrader_config.py or by `lfi grade`.

nbgrader knows when a submission came (timestamp.txt) and when it was due (the gradebook, formgrader's Due Date, with a
student's extension). Here a due date can stand in the configuration, too, and points can go day by day.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from pathlib import Path

from nbgrader.api import Gradebook, MissingEntry, SubmittedAssignment, SubmittedNotebook
from nbgrader.plugins import BasePlugin, LateSubmissionPlugin
from nbgrader.preprocessors import AssignLatePenalties
from traitlets import Dict, Enum, Float, Type
from traitlets.config import Config

from grading.course import Notebook, UserError
from grading.lms.roster import read_time

SETTINGS = "late.json"
DAY = 24 * 60 * 60
PER_DAY = re.compile(r"(\d+(?:\.\d+)?)%(?:,(\d+(?:\.\d+)?))?")


class LatePolicy(LateSubmissionPlugin):
    """Points that a late submission loses."""

    penalty_method = Enum(
        ("none", "zero", "per_day"),
        default_value="none",
        help="'none': nothing; 'zero': all points; 'per_day': a share of the points for each day that has begun.",
    ).tag(config=True)
    per_day = Float(0.1, min=0, max=1, help="The share of the points that each day costs.").tag(config=True)
    cut_off_days = Float(math.inf, min=0, help="With per_day: after so many days all points are lost.").tag(config=True)
    grace_minutes = Float(0, min=0, help="So much later is not late.").tag(config=True)

    def late_submission_penalty(self, student_id: str, score: float, total_seconds_late: float) -> float | None:
        """The points that are lost of `score`; None: none."""
        if self.penalty_method == "none" or total_seconds_late <= 60 * self.grace_minutes:
            return None
        days = total_seconds_late / DAY
        if self.penalty_method == "zero" or days > self.cut_off_days:
            return score
        return round(score * min(1.0, self.per_day * math.ceil(days)), 2)


class LatePenalties(AssignLatePenalties):
    """nbgrader's step, which also enters the due date that the configuration names."""

    plugin_class = Type(LatePolicy, klass=BasePlugin, help="What computes the penalty.").tag(config=True)
    due = Dict(help="From assignments to due dates such as '2026-11-30 23:59 Europe/Berlin'.").tag(config=True)

    def preprocess(self, nb, resources):
        place = resources["nbgrader"]
        if text := self.due.get(place["assignment"]):
            with Gradebook(place["db_url"]) as gradebook:
                set_due(gradebook, place["assignment"], due_date(text))
        return super().preprocess(nb, resources)


def due_date(text: str) -> datetime:
    """A due date as UTC; without a time zone it is this machine's local time."""
    when = read_time(text)
    if when is None:
        raise UserError(f"The due date {text!r} is no time such as '2026-11-30 23:59 Europe/Berlin'.")
    return when


def policy(text: str) -> dict:
    """Settings of LatePolicy from `none`, `zero`, `10%` (a day) or `10%,7` (a day, and nothing after seven)."""
    if text in ("none", "zero"):
        return {"penalty_method": text}
    match = PER_DAY.fullmatch(text.replace(" ", ""))
    if not match or float(match[1]) > 100:
        raise UserError(
            f"The late policy {text!r} is none of: none; zero; 10% (of the points for each day that has begun); "
            "10%,7 (the same, and no points after seven days)."
        )
    days = {"cut_off_days": float(match[2])} if match[2] else {}
    return {"penalty_method": "per_day", "per_day": float(match[1]) / 100} | days


def set_due(gradebook: Gradebook, assignment: str, due: datetime) -> None:
    """Enter a due date in the gradebook, if it is another one than there is."""
    naive = due.astimezone(UTC).replace(tzinfo=None)
    found = gradebook.find_assignment(assignment)
    if found.duedate != naive:
        found.duedate = naive
        gradebook.db.commit()


def keep_settings(output: Path, notebook: Notebook, due: str | None, late: str | None) -> None:
    """Remember in a grading folder what `lfi grade` was told, for this and later commands."""
    settings = read_settings(output)
    if due:
        when = due_date(due).isoformat(timespec="minutes")
        settings.setdefault("LatePenalties", {}).setdefault("due", {})[notebook.assignment] = when
    if late:
        settings["LatePolicy"] = policy(late)
    output.mkdir(parents=True, exist_ok=True)
    scratch = output / f"{SETTINGS}.part"
    scratch.write_text(json.dumps(settings, indent=1))
    scratch.replace(output / SETTINGS)


def read_settings(output: Path) -> dict:
    """nbgrader settings that go before those of grading/nbgrader_config.py."""
    try:
        return json.loads((output / SETTINGS).read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        raise UserError(f"{output / SETTINGS} cannot be read: remove it and give --due and --late again.") from None


def renew(gradebook: Gradebook, assignment: str, config: Config) -> list[tuple[str, str]]:
    """Compute an assignment's late penalties anew, as due date, policy and manual scores are now.

    Returns:
        Student and assignment of each submission whose penalty has changed.
    """
    step = LatePenalties(config=config)
    step.init_plugin()
    try:
        gradebook.find_assignment(assignment)
    except MissingEntry:
        return []
    if text := step.due.get(assignment):
        set_due(gradebook, assignment, due_date(text))
    changed = []
    for submission in gradebook.assignment_submissions(assignment):
        for notebook in submission.notebooks:
            penalty = _penalty(step, submission, notebook)
            if (notebook.late_submission_penalty or 0) != (penalty or 0):
                notebook.late_submission_penalty = penalty
                changed.append((submission.student_id, assignment))
    gradebook.db.commit()
    return changed


def _penalty(step: LatePenalties, submission: SubmittedAssignment, notebook: SubmittedNotebook) -> float | None:
    late = submission.total_seconds_late
    lost = step.plugin_inst.late_submission_penalty(submission.student_id, notebook.score, late) if late > 0 else None
    return None if lost is None else step._check_late_penalty(notebook, lost)
