# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A course of one small notebook, for tests of the harness

# %% tags=["setup"]
import numpy as np


# %% nbgrader={"grade": false, "grade_id": "double", "locked": false, "schema_version": 3, "solution": true, "task": false}
def double(x: np.ndarray) -> np.ndarray:
    """Twice x, of the same shape."""
    ### BEGIN SOLUTION
    doubled_and_private = x + x
    return np.asarray(doubled_and_private)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_double", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
received = double(np.array([1.0, 2.0]))
assert np.allclose(received, [2, 4]), f"Expected [2, 4], received {received}."
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("mini", "double", globals())
### END HIDDEN TESTS


# %% nbgrader={"grade": false, "grade_id": "quadruple", "locked": false, "schema_version": 3, "solution": true, "task": false}
def quadruple(x: np.ndarray) -> np.ndarray:
    """Four times x, of the same shape."""
    ### BEGIN SOLUTION
    return double(double(np.asarray(x)))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_quadruple", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
assert np.allclose(quadruple(np.array([1.0])), [4]), "Expected [4]."
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("mini", "quadruple", globals())
### END HIDDEN TESTS


# %% nbgrader={"grade": false, "grade_id": "halve", "locked": false, "schema_version": 3, "solution": true, "task": false}
def halve(x: np.ndarray) -> np.ndarray:
    """Half of x; a bonus."""
    ### BEGIN SOLUTION
    return np.asarray(x, float) / 2.0
    ### END SOLUTION


# %% extra_credit=3 nbgrader={"grade": true, "grade_id": "test_halve", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
assert np.allclose(halve(np.array([1.0])), [0.5]), "Expected [0.5]."
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("mini", "halve", globals())
### END HIDDEN TESTS

# %%
print("doubled:", np.array([3.0]) * 2)

# %% [markdown] nbgrader={"grade": false, "grade_id": "question_why", "locked": true, "schema_version": 3, "solution": false, "task": false}
# Why would one double a number?
#
# === BEGIN MARK SCHEME ===
# Two points for any answer that speaks of growth, one for any other.
# === END MARK SCHEME ===

# %% [markdown] nbgrader={"grade": true, "grade_id": "answer_why", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# Because things grow: the model answer that no student may see.
