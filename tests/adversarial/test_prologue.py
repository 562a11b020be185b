"""Cells before the students' own run once for all where that can be done, and in each kernel where it cannot."""

import pytest

from grading.build import build
from grading.canonical import canonical_submission
from grading.execute import ExecuteAndJudge

from .test_batch import with_cells

FIRST = {
    "plain": "factor = 2",
    "leaves a thread": "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\nfactor = 2",
    "needs the kernel": "from IPython import get_ipython\nfactor = 2 if get_ipython().kernel else 3",
}


@pytest.mark.parametrize("name", FIRST)
def test_what_the_first_cells_define_is_there(mini, name):
    text = mini.source.read_text()
    start = text.index('# %% nbgrader={"grade": false, "grade_id": "double"')
    mini.source.write_text(f"{text[:start]}# %%\n{FIRST[name]}\n\n\n{text[start:]}")
    build(mini)
    data = with_cells(mini, double="def double(x):\n    return factor * x")
    nb = canonical_submission(mini.read_release(), data)
    resources = {"nbgrader": {"assignment": mini.assignment}, "metadata": {"path": None}}
    nb, _ = ExecuteAndJudge().preprocess(nb, resources)
    assert nb.metadata["lfi"]["tasks"]["double"]["score"] == 4.0, nb.metadata["lfi"]["tasks"]["double"]
