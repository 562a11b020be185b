"""The class report: figures that can be checked by hand, and a page that works alone and for everybody."""

from datetime import datetime, timedelta

import pytest
from bs4 import BeautifulSoup

from grading.grade import Run, Score
from grading.gradebook import GradingFolder
from grading.report import write_report
from grading.sheet import Student, complete, item, sheets, time_course
from grading.similarity import FEW, alike, fragments, given, words

LOOP = """def double(x):
    # a comment
    result = []
    for row in x.reshape(len(x), -1):
        line = [value + value for value in row if value == value]
        result.append(np.array(line).reshape(row.shape))
    total = np.stack(result).reshape(x.shape) if len(result) else np.zeros_like(x)
    return total.astype(x.dtype) if hasattr(x, "dtype") else total.tolist()
"""
RENAMED = LOOP.replace("result", "out").replace("line", "l").replace("value", "v").replace("# a comment", "# mine")
OTHER = """def double(x):
    y = np.zeros(np.shape(x))
    index = 0
    while index < y.size:
        y.flat[index] = np.ravel(x)[index] * 2.0
        index = index + 1
    if isinstance(x, list) and not y.any():
        raise ValueError("nothing to do here at all")
    return np.asarray(y, dtype=float)
"""


def student(name, **points):
    scores = {
        task: Score(name, "a", task, value, 4.0, "passed" if value else "failed") for task, value in points.items()
    }
    return Student(name, scores)


def test_a_task_that_goes_with_the_rest_discriminates_and_one_against_it_does_not():
    rows = [student(str(n), easy=4.0, good=n, odd=4 - n, rest=n, more=n) for n in (0.0, 1.0, 2.0, 4.0)]
    assert item("easy", 4.0, rows).mean == 1
    assert item("easy", 4.0, rows).discrimination is None
    assert item("good", 4.0, rows).discrimination == pytest.approx(1)
    assert item("odd", 4.0, rows).discrimination == pytest.approx(-1)
    assert item("good", 4.0, rows).mean == pytest.approx(7 / 16)


def test_a_file_that_could_not_be_read_says_nothing_about_a_task():
    rows = [student("a", t=4.0), Student("b", {"t": Score("b", "a", "t", 0.0, 4.0, "unreadable")})]
    assert item("t", 4.0, rows).mean == 1
    assert item("t", 4.0, rows).states["unreadable"] == 1


@pytest.mark.parametrize(("hours", "unit", "steps"), [(5, "hour", 6), (24 * 20, "day", 21), (24 * 200, "week", 29)])
def test_the_time_course_counts_all_in_steps_that_suit_it(hours, unit, steps):
    first = datetime(2026, 11, 2, 10, 30)
    course = time_course([first, first + timedelta(hours=hours), first + timedelta(hours=1)], None)
    assert (course.unit, len(course.counts), sum(count for _, count in course.counts)) == (unit, steps, 3)


def test_the_time_course_tells_who_was_late_and_survives_a_wrong_clock():
    due = datetime(2026, 11, 2)
    course = time_course([datetime(1970, 1, 1), due, due + timedelta(seconds=1)], due)
    assert (course.late, course.earlier, len(course.counts)) == (1, 1, 60)


def test_renaming_commenting_and_layout_hide_nothing():
    assert words(LOOP) == words(RENAMED)
    assert words('def f(a):\n    """Text."""\n    return  a+1') == words("def g(b): return b + 1  # one")
    assert words("def f(:\n  'open") != []


def test_only_a_copied_pair_is_listed(built):
    common = given(built)
    (pair,) = alike({"a": {"double": LOOP}, "b": {"double": RENAMED}, "c": {"double": OTHER}}, common)
    assert (pair.first, pair.second, pair.share, pair.tasks) == ("a", "b", 1, ["double"])


def test_what_is_given_short_or_everybodys_is_not_listed(built):
    common = given(built)
    ours = {"double": "def double(y):\n    mine = y + y\n    return np.asarray(mine)"}
    assert alike({"a": ours, "b": ours}, common) == []
    short = {"double": "def double(x):\n    return np.add(x, x, out=None).copy().astype(float)"}
    assert alike({"a": short, "b": short}, common) == []
    assert alike({name: {"double": LOOP} for name in "abcdefgh"[: FEW + 1]}, common) == []
    assert alike({name: {"double": LOOP} for name in "abc"[:FEW]}, common) != []
    assert alike({}, common) == []


def test_the_same_code_in_another_task_is_not_the_same():
    assert not fragments({"double": LOOP}) & fragments({"quadruple": LOOP})


@pytest.fixture(scope="module")
def page(built_course, tmp_path_factory):
    """The report of a class with a copied pair and times, parsed."""
    from test_grade import hand_in

    from grading.course import Course

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LFI_COURSE", str(built_course))
        (notebook,) = Course().select(None)
        submitted = tmp_path_factory.mktemp("submitted")
        sources = {"ada": LOOP, "<b>bob": RENAMED, "cem": "def double(x):\n    return x**2", "dan": OTHER}
        for hour, (name, source) in enumerate(sources.items()):
            path = hand_in(notebook, submitted, name, double=source)
            path.with_name("timestamp.txt").write_text(f"2026-11-0{hour + 1} 10:00:00.000000 UTC")
        hand_in(notebook, submitted, "eve").write_text("{")
        run = Run(GradingFolder(submitted, tmp_path_factory.mktemp("output")), [notebook])
        assert run.grade(lambda *args: None)
        (sheet,) = sheets(run)
        complete(sheet, run)
        return sheet, BeautifulSoup(write_report(run).page.read_text(), "html.parser")


def test_the_report_shows_times_pairs_and_who_erred(page):
    sheet, soup = page
    assert [count for _, count in sheet.course.counts if count] == [1, 1, 1, 1]
    assert [(pair.first, pair.second) for pair in sheet.pairs] == [("<b>bob", "ada")]
    (found,) = (found for found in sheet.misconceptions if "a square" in found.words)
    assert "cem" in found.students
    text = soup.get_text(" ", strip=True)
    for words_there in ("A list to look at, not a verdict", "<b>bob", "cem", "2026-11-01", "discrimination"):
        assert words_there in text


def test_a_timestamp_costs_no_submission_its_warm_start(page):
    from grading.handed_in import HandedIn
    from grading.results import NO_FILES

    early, late = (HandedIn(b"{}", {"timestamp.txt": when}) for when in (b"2026-11-01 UTC", b"2026-11-02 UTC"))
    assert early.files_digest() == NO_FILES
    assert early.digest() != late.digest()


def test_the_report_can_be_read_without_eyes_and_network(page):
    _, soup = page
    assert soup.html["lang"] == "en"
    for table in soup.find_all("table"):
        assert table.caption.get_text(strip=True)
        assert all(head["scope"] in ("col", "row") for head in table.find_all("th"))
    assert all(picture["role"] == "img" and picture["aria-label"].strip() for picture in soup.find_all("svg"))
    levels = [int(head.name[1]) for head in soup.find_all(["h1", "h2", "h3", "h4"])]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
    assert soup.find(attrs={"aria-live": "polite"})
    assert not soup.find_all(["link", "img", "iframe"])
    assert not soup.find("script", src=True)
    assert not soup.find("b", string="bob"), "names are shown, not rendered"
