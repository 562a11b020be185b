"""The repository's own files agree with each other, and what students get holds nothing private."""

import re
import subprocess
import tomllib
import zipfile

import pytest
import yaml

from grading.course import CHECKOUT, Course

LOCK = (CHECKOUT / "requirements.txt").read_text()
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]


def name_of(requirement):
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


def test_the_lock_pins_all_and_names_no_host_and_no_hash():
    for line in LOCK.splitlines():
        assert re.match(r"[\w.-]+(\[\w+\])?==\S+( ; .+)?$", line), line
    assert "://" not in LOCK
    assert "--" not in LOCK


def test_every_dependency_is_locked_within_its_bounds():
    from packaging.requirements import Requirement

    locked = {name_of(line): line.split("==")[1].split(" ")[0] for line in LOCK.splitlines()}
    for text in PROJECT["dependencies"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(locked[name_of(requirement.name)]), text


def test_conda_installs_the_same_packages():
    environment = yaml.safe_load((CHECKOUT / "environment.yml").read_text())
    plain = [item for item in environment["dependencies"] if isinstance(item, str)]
    (pip,) = (item["pip"] for item in environment["dependencies"] if isinstance(item, dict))
    assert [re.match(r"\w+", item)[0] for item in plain] == ["python", "pip"]
    assert PROJECT["requires-python"].removeprefix(">=") in plain[0]
    assert pip == ["-r requirements.txt", "--no-deps -e ."]


def test_make_lists_its_targets():
    listing = subprocess.run(["make"], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    for target in "setup lab build test demo check grade report audit bench data bundle clean".split():  # noqa: SIM905
        assert re.search(rf"^  make {target} ", listing, re.MULTILINE), target


def test_the_readme_lists_every_notebook():
    readme = (CHECKOUT / "README.md").read_text()
    for notebook in Course().all():
        assert notebook.assignment in readme


@pytest.mark.parametrize("path", ["README.md", *(f"docs/{p.name}" for p in (CHECKOUT / "docs").glob("*.md"))])
def test_links_in_the_docs_lead_somewhere(path):
    text = (CHECKOUT / path).read_text()
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target:
            assert ((CHECKOUT / path).parent / target).exists(), f"{path}: {target}"


def test_the_security_notes_name_tests_that_are_there():
    named = re.findall(r"`([./\w]*test_\w+\.py)`", (CHECKOUT / "docs" / "security.md").read_text())
    assert named
    assert all((CHECKOUT / "tests" / "adversarial" / path).exists() for path in named)


def test_the_bundle_holds_notebooks_and_nothing_private(tmp_path):
    from grading.bundle import make_bundle

    path = make_bundle(Course(), tmp_path / "bundle.zip")
    with zipfile.ZipFile(path) as archive:
        names = [name.split("/", 1)[1] for name in archive.namelist()]
        text = "\n".join(archive.read(name).decode(errors="replace") for name in archive.namelist())
    assert {"README.md", "requirements.txt", "environment.yml", "helpers/seeds.py"} <= set(names)
    assert {f"notebooks/{nb.assignment}/{nb.name}.ipynb" for nb in Course().all()} <= set(names)
    assert not any(re.match(r"solutions|grading/(checks|mutants|work)|tests", name) for name in names)
    assert "is_kept[members[nms(boxes[members]" not in text
    assert make_bundle(Course(), tmp_path / "again.zip").read_bytes() == path.read_bytes()
