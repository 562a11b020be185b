"""`lfi collect` as plug-ins of `nbgrader zip_collect`; grading/nbgrader_config.py names them.

The archives lie in `grading/work/downloaded/<assignment>/archive/`, beside them a class list (CSV) if there is one.
The extractor does all the work; the collector reads from where it has put the files whose they are.
"""

from __future__ import annotations

from pathlib import Path

from nbgrader.plugins import ExtractorPlugin, FileNameCollectorPlugin

from grading.course import Course
from grading.handed_in import TIMESTAMP
from grading.lms.collect import collect
from grading.lms.roster import read_roster


class SafeExtractor(ExtractorPlugin):
    """Unpacks what Moodle, Canvas or `lfi submit` made to `<student>/<assignment>/`."""

    def extract(self, archive_path: str, extracted_path: str) -> None:
        archives = Path(archive_path)
        (notebook,) = Course().select([archives.parent.name])
        lists = sorted(archives.glob("*.csv"))
        report = collect(archives, notebook, Path(extracted_path), read_roster(lists[0]) if lists else None)
        for trouble in report.troubles:
            self.log.warning(trouble)


class FolderCollector(FileNameCollectorPlugin):
    """Takes the student's name and the time of submission from where SafeExtractor has put a file."""

    def collect(self, submitted_file: str) -> dict | None:
        path = Path(submitted_file)
        if path.suffix not in self.valid_ext or path.parents[3].name == ".earlier":
            return None
        when = path.with_name(TIMESTAMP)
        found = {"student_id": path.parents[1].name, "file_id": path.name}
        return found | ({"timestamp": when.read_text().strip()} if when.exists() else {})
