"""An ordinary nbgrader course; run `nbgrader` in this folder. `lfi` reads the same file.

Only two things differ from nbgrader's defaults: how a submission is read (nothing but answers are taken from it), and
who judges it (grading/pipeline.py).
"""

from grading.course import Course

_course = Course()

c = get_config()  # noqa: F821

c.CourseDirectory.course_id = "learning-from-images"
c.CourseDirectory.root = str(_course.root)
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "notebooks"
c.CourseDirectory.submitted_directory = "grading/work/submitted"
c.CourseDirectory.autograded_directory = "grading/work/autograded"
c.CourseDirectory.feedback_directory = "grading/work/feedback"
c.CourseDirectory.source_with_tests_directory = "grading/work/source_with_tests"
c.CourseDirectory.solution_directory = "grading/work/solution"
c.CourseDirectory.db_url = f"sqlite:///{_course.work / 'gradebook.db'}"
c.CourseDirectory.ignore = [".ipynb_checkpoints", "*.py", "*.pyc*", "__pycache__", "feedback", ".*"]

# Marking schemes stand in the locked question beside the written answer, where formgrader shows them.
c.ClearMarkScheme.enforce_metadata = False

c.Autograde.exporter_class = "grading.pipeline.SubmissionExporter"
c.Autograde.sanitize_preprocessors = [
    "nbgrader.preprocessors.ClearOutput",
    "nbgrader.preprocessors.OverwriteKernelspec",
    "nbgrader.preprocessors.OverwriteCells",
]
c.Autograde.autograde_preprocessors = [
    "grading.execute.ExecuteAndJudge",
    "nbgrader.preprocessors.LimitOutput",
    "nbgrader.preprocessors.SaveAutoGrades",
    "grading.pipeline.SaveExtraCredit",
    "grading.lms.late.LatePenalties",
    "grading.pipeline.MakeInert",
]
c.GenerateFeedback.exporter_class = "grading.feedback.FeedbackExporter"
c.GenerateFeedback.preprocessors = [
    "grading.pipeline.GetGrades",
    "grading.pipeline.HideHidden",
    "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
]

# Due dates and what a late submission costs; `lfi grade --due ... --late ...` goes before. Formgrader's Due Date holds
# where none is named here.
c.LatePenalties.due = {}  # {"01_iou_nms": "2026-11-30 23:59 Europe/Berlin"}
c.LatePolicy.penalty_method = "none"  # "zero": no points; "per_day": each day that has begun costs a share of them
c.LatePolicy.per_day = 0.1
c.LatePolicy.grace_minutes = 0

# `nbgrader zip_collect` unpacks what Moodle and Canvas give as `lfi collect` does.
c.ZipCollectApp.downloaded_directory = "grading/work/downloaded"
c.ZipCollectApp.extractor_plugin = "grading.lms.zipcollect.SafeExtractor"
c.ZipCollectApp.collector_plugin = "grading.lms.zipcollect.FolderCollector"
