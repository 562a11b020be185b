"""lfi build: incremental, deterministic, and every guard sees the fault that it is there for."""

import nbformat
import pytest

from grading import build
from grading.build import BuildError


def edit(notebook, old, new, count=1):
    text = notebook.source.read_text()
    assert text.count(old) >= 1
    notebook.source.write_text(text.replace(old, new, count))


def source_faults(notebook):
    return "\n".join(build.source_faults(build.read_source(notebook)))


def test_a_build_is_current_complete_and_a_second_one_changes_nothing(built):
    assert build.check(built) == []
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (built.solution, built.release)}
    assert build.build(built) == []
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before


def test_a_forced_build_runs_again_and_writes_the_same_bytes(built):
    before = [path.read_bytes() for path in (built.solution, built.release)]
    assert build.build(built, force=True) == []
    assert [path.read_bytes() for path in (built.solution, built.release)] == before


def test_the_release_is_the_solution_without_what_is_private(built):
    release = nbformat.read(built.release, as_version=4)
    text = built.release.read_text()
    for private in ("doubled_and_private", "grading import plain", "HIDDEN", "MARK SCHEME", "growth", "model answer"):
        assert private not in text
    assert "raise NotImplementedError()" in text
    assert "YOUR ANSWER HERE" in text
    assert "Why would one double a number?" in text
    assert [c.metadata.nbgrader.points for c in release.cells if c.metadata.get("nbgrader", {}).get("grade")] == [
        4,
        2,
        0,
        2,
    ]
    assert not any(cell.get("outputs") for cell in release.cells)


@pytest.mark.parametrize("which", ["source", "solution", "release"])
def test_check_names_what_is_stale_and_changes_nothing(built, which):
    path = getattr(built, which)
    path.write_text(path.read_text().replace("A course of one", "A lesson of one").replace("doubled:", "twice:"))
    before = [p.read_bytes() for p in (built.source, built.solution, built.release)]
    assert any("stale" in fault for fault in build.check(built))
    assert [p.read_bytes() for p in (built.source, built.solution, built.release)] == before


def test_outputs_that_were_edited_by_hand_are_stale(built):
    built.solution.write_text(built.solution.read_text().replace("doubled: [6.]", "doubled: [7.]"))
    assert any("stale" in fault for fault in build.check(built))


def test_a_changed_helper_makes_the_notebooks_stale_that_import_it(built):
    edit(built, "import numpy as np\n", "import numpy as np\n\nfrom helpers import seeds\n")
    helper = built.course.root / "helpers" / "seeds.py"
    helper.parent.mkdir()
    helper.write_text("SEED = 1\n")
    first = build.source_digest(built)
    helper.write_text("SEED = 2\n")
    assert build.source_digest(built) != first
    (helper.parent / "other.py").write_text("X = 1\n")
    second = build.source_digest(built)
    (helper.parent / "other.py").write_text("X = 2\n")
    assert build.source_digest(built) == second


def test_guard_duplicate_id(mini):
    edit(mini, '"grade_id": "quadruple"', '"grade_id": "double"')
    assert "'double' is used 2 times" in source_faults(mini)


def test_guard_task_without_test_cell(mini):
    edit(mini, '"grade_id": "test_quadruple"', '"grade_id": "test_other"')
    faults = source_faults(mini)
    assert "'quadruple': a task without a test cell" in faults
    assert "'test_other': a test cell whose task is missing" in faults


@pytest.mark.parametrize("points", ['"points": 0, ', ""])
def test_guard_test_without_points(mini, points):
    edit(mini, '"points": 4, ', points)
    assert "'test_double': no points" in source_faults(mini)


def test_guard_incomplete_metadata(mini):
    edit(mini, '"schema_version": 3, ', "")
    assert "nbgrader metadata lacks schema_version" in source_faults(mini)


def test_guard_cell_that_does_not_define_its_task(mini):
    edit(mini, "def double(", "def duble(")
    assert "'double': the cell defines no function or class of this name" in source_faults(mini)


def test_guard_solution_and_hidden_regions(mini):
    edit(mini, "    ### BEGIN SOLUTION\n", "")
    edit(mini, "### BEGIN HIDDEN TESTS\n", "")
    faults = source_faults(mini)
    assert "'double': no solution region" in faults
    assert "'test_double': no hidden tests" in faults


@pytest.mark.parametrize("picture", ["![](a.png)", '<img src="a.png">', "<img src='a.png' alt=''>"])
def test_guard_missing_alt_text(mini, picture):
    edit(mini, "# Why would", f"# {picture}\n# Why would")
    assert "picture without alt text" in source_faults(mini)


def test_pictures_with_alt_text_pass(mini):
    edit(mini, "# Why would", "# ![a cat](a.png) <img src='a.png' alt='a dog'>\n# Why would")
    assert source_faults(mini) == ""


def test_guard_written_answer_without_question(mini):
    edit(mini, '"grade_id": "question_why"', '"grade_id": "ask_why"')
    assert "'answer_why': a written answer without its question cell" in source_faults(mini)


@pytest.mark.parametrize(
    "leak",
    [
        "# %%\nprint('doubled_and_private = x + x')\ndef same(x):\n    doubled_and_private = x + x\n",
        "# %% [markdown]\n# Use\n#\n# doubled_and_private = x + x\n",
        "# %%\nplain = None\nif plain:\n    plain.score(\"mini\", \"double\", globals())\n",
        "# %% [markdown]\n# Two points for any answer that speaks of growth, one for any other.\n",
    ],
)  # fmt: skip
def test_guard_leak_of_a_private_line(mini, leak):
    mini.source.write_text(mini.source.read_text() + "\n" + leak)
    with pytest.raises(BuildError, match="a private line is in"):
        build.make_release(mini, build.read_source(mini))


def test_guard_source_file_in_the_release(built):
    (built.release.parent / "mini.py").write_text("x = 1\n")
    assert "mini.py must not be released" in build.check(built)


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        ("# %%\nprint(undefined_name)\n", "fails with NameError"),
        ("# %%\ntotal = double(np.ones(2)).sum()\n\n# %%\nprint(total)\n", "fails with NameError"),
    ],
)
def test_guard_release_that_fails_with_something_else(mini, broken, fault):
    nb = build.read_source(mini)
    release = build.make_release(mini, nb)
    extra = broken.split("\n\n")
    release.cells += [nbformat.v4.new_code_cell(part.removeprefix("# %%\n")) for part in extra]
    build.execute(release, mini.source.parent, allow_errors=True)
    assert any(fault in sentence for sentence in build.stub_faults(release))


def test_guard_test_that_a_stub_passes(mini):
    edit(mini, "assert np.allclose(quadruple(np.array([1.0])), [4])", 'assert "quadruple"')
    release = build.make_release(mini, build.read_source(mini))
    build.execute(release, mini.source.parent, allow_errors=True)
    assert any("'test_quadruple' of the release passes" in fault for fault in build.stub_faults(release))


def test_a_solution_that_fails_is_not_released(mini):
    edit(mini, "x + x", "x + x + 1")
    with pytest.raises(BuildError, match=r"the solution fails[\s\S]*Expected \[2, 4\]"):
        build.build(mini)
    assert not mini.release.exists()


def test_a_source_that_is_no_text_is_named(mini):
    mini.source.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BuildError, match="cannot be read"):
        build.build(mini)
