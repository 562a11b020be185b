"""JupyterLab and formgrader in a real browser: what a student clicks and what a grader clicks.

LFI_SCREENSHOTS names a folder for the pictures that are taken on the way; without it they lie beside the tests' other
temporary files.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_grade import CLASS, hand_in

from grading.course import CHECKOUT, Course

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (pip install playwright)")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)")
pytestmark = [needs_chromium, pytest.mark.xdist_group("browser")]

BIN = Path(sys.executable).parent
PATIENCE = 120_000  # milliseconds: two busy cores are slow
TOKEN = "a-token-of-the-test"


@pytest.fixture(scope="module")
def course(built_course, tmp_path_factory):
    """A copy of the small course with two submissions, and its notebook."""
    root = tmp_path_factory.mktemp("browser") / "course"
    shutil.copytree(built_course, root)
    notebook = Course(root).select(None)[0]
    submitted = notebook.course.work / "submitted"
    hand_in(notebook, submitted, "ada", answer_why="Because of growth.", **CLASS["in place"])
    hand_in(notebook, submitted, "bob")
    return notebook


@pytest.fixture(scope="module")
def server(course, tmp_path_factory):
    """The address of a JupyterLab in the course's folder, with nbgrader's configuration of grading/."""
    place = tmp_path_factory.mktemp("jupyter")
    pages = place / "config" / "labconfig" / "page_config.json"
    pages.parent.mkdir(parents=True)
    pages.write_text(json.dumps({"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}))
    folders = {f"JUPYTER_{name.upper()}_DIR": str(place / name) for name in ("config", "data", "runtime")}
    env = os.environ | folders | {"LFI_COURSE": str(course.course.root), "HOME": str(place)}
    env["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    words = ["lab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", "--ServerApp.port_retries=100"]
    words += [f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={course.course.root}"]
    with (place / "log").open("w") as log:
        process = subprocess.Popen(
            [BIN / "jupyter", *words],
            cwd=CHECKOUT / "grading",
            env=env,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield _address(process, place)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _address(process, place):
    """Where the server answers: it says so in a file, with the port that was free."""
    deadline = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < deadline and process.poll() is None:
        for path in (place / "runtime").glob("jpserver-*.json"):
            try:
                return json.loads(path.read_text())["url"]
            except ValueError:  # half written
                pass
        time.sleep(0.2)
    raise AssertionError("JupyterLab did not start:\n" + (place / "log").read_text()[-3000:])


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
        browser = started.chromium.launch(executable_path=CHROMIUM, args=arguments, timeout=PATIENCE)
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture
def page(server, browser):
    """A page whose user has logged in with the token; it reaches nothing but the server."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(PATIENCE)
    context.set_default_navigation_timeout(PATIENCE)
    playwright.expect.set_options(timeout=PATIENCE)
    context.route(lambda url: not url.startswith(server), lambda route: route.abort())
    page = context.new_page()
    page.goto(f"{server}login?next=%2Fapi%2Fstatus")
    page.fill("input[name=password]", TOKEN)
    page.click("button[type=submit]")
    page.wait_for_url("**/api/status")
    yield page
    context.close()


@pytest.fixture
def picture(page, tmp_path):
    """Takes a picture of the page."""
    folder = Path(os.environ.get("LFI_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return lambda name: page.screenshot(path=folder / f"{name}.png", timeout=PATIENCE)


def write(page, cell, source):
    """Replace what stands in a cell."""
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(source)


def run(page, cell):
    """Run a cell, and wait until it has run: its prompt shows another number then."""
    prompt = cell.locator(".jp-InputPrompt")
    before = prompt.inner_text()
    cell.locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    playwright.expect(prompt).not_to_have_text(before)
    playwright.expect(prompt).to_have_text(re.compile(r"^\[\d+\]:$"))


def test_a_student_works_on_a_task_and_validates_the_notebook(page, server, course, picture):
    home = course.course.root / "home"
    home.mkdir()
    shutil.copy(course.release, home / "mini.ipynb")
    page.goto(f"{server}lab/tree/home/mini.ipynb")
    setup, task, test = (page.locator(".jp-Notebook .jp-CodeCell").nth(number) for number in range(3))
    playwright.expect(page.locator("#jp-main-statusbar")).to_contain_text("Python 3 (ipykernel) | Idle")
    write(page, task, "def double(x):\n    return 3 * x")
    for cell in (setup, task, test):
        run(page, cell)
    said = test.locator(".jp-OutputArea-output")
    playwright.expect(said).to_contain_text("Expected [2, 4], received [3. 6.].")
    picture("lab-1-a-visible-test-fails")
    write(page, task, "def double(x):\n    return 2 * x")
    run(page, task)
    run(page, test)
    playwright.expect(said).to_have_count(0)

    page.get_by_text("Validate", exact=True).click()
    dialog = page.locator(".jp-Dialog")
    playwright.expect(dialog).to_contain_text("Validation Results")
    playwright.expect(dialog).to_contain_text("quadruple")
    playwright.expect(dialog).not_to_contain_text("received")
    picture("lab-2-validated")
    dialog.get_by_role("button", name="OK").click()


def row_of(page, address, cell, words):
    """A row of one of formgrader's lists, which is loaded anew; `words` stand in its cell of class `cell`."""
    page.goto(address)
    row = page.locator("#main-table tr", has=page.locator(f"td.{cell}", has_text=re.compile(rf"^\s*{words}\s*$")))
    playwright.expect(row).to_have_count(1)
    return row


def press(page, row, button, words):
    """Press a button of a row, and wait for nbgrader to say that it went well."""
    row.locator(f"td.{button} a").click()
    playwright.expect(page.locator(".modal.in")).to_contain_text(words)


def save(page, field, value, kind):
    """Fill in a field, and wait until the server has taken it."""
    with page.expect_response(lambda answer: f"/api/{kind}/" in answer.url and answer.request.method == "PUT") as saved:
        page.locator(field).fill(value)
        page.locator(field).blur()
    assert saved.value.ok


def test_a_grader_grades_in_formgrader_and_a_regrade_keeps_it(page, server, course, picture):
    def student(name):
        return row_of(page, f"{server}formgrader/manage_submissions/00_mini", "student-id", name)

    press(page, row_of(page, f"{server}formgrader", "name", "00_mini"), "assign", "Successfully created")
    press(page, student("ada"), "autograde", "Successfully autograded")
    picture("formgrader-1-autograded")
    row = student("ada")
    playwright.expect(row.locator(".status")).to_have_text("needs manual grading")
    playwright.expect(row.locator(".score")).to_have_text("8 / 8")  # 3 of 4, 2, and 3 of the bonus

    page.goto(f"{server}formgrader/gradebook/00_mini/mini")
    page.get_by_role("link", name=re.compile("Submission #1")).click()
    playwright.expect(page.locator("body")).to_contain_text("Two points for any answer that speaks of growth")
    playwright.expect(page.locator("body")).to_contain_text("✗ not so: the argument is left alone")
    # Only when the grades and comments have come, which their placeholders show, are the fields listened to.
    playwright.expect(page.locator("#test_double")).to_have_attribute("placeholder", "3")
    playwright.expect(page.locator("#answer_why-comment")).to_have_attribute("placeholder", re.compile("Type any"))
    save(page, "#answer_why", "1.5", "grade")
    save(page, "#answer_why-comment", "Name an example.", "comment")
    picture("formgrader-2-graded")
    playwright.expect(student("ada").locator(".score")).to_have_text("9.5 / 8")

    press(page, student("ada"), "autograde", "Successfully autograded")
    row = student("ada")
    playwright.expect(row.locator(".score")).to_have_text("9.5 / 8")
    picture("formgrader-3-graded-again")
    press(page, row, "generate-feedback", "Successfully generated feedback")
    (feedback,) = (course.course.work / "feedback" / "ada").rglob("*.html")
    text = feedback.read_text()
    assert "Name an example." in text
    assert "1.5 / 2.0" in text
    assert "MARK SCHEME" not in text
    playwright.expect(student("bob").locator(".status")).to_have_text("needs autograding")
