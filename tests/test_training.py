"""The shared training loop, and the measuring of notebooks over several seeds."""

import numpy as np
import pytest
import torch

from grading.course import UserError
from grading.measure import measure
from helpers import training


def test_training_finds_a_line_and_ends_in_eval_mode():
    torch.manual_seed(0)
    x = torch.linspace(-1, 1, 50)[:, None]
    model = torch.nn.Linear(1, 1)
    batches = training.minibatches(10, x, 3 * x + 1, generator=torch.Generator().manual_seed(0))
    history = training.train(
        model, batches, lambda a, b: (model(a) - b).square().mean(), steps=300, lr=0.05, weight_decay=0
    )
    assert history["total"].shape == (300,)
    assert history["total"][-10:].mean() < 1e-3
    assert not model.training


def test_training_keeps_every_part_of_a_loss():
    model = torch.nn.Linear(1, 1)

    def loss(x):
        value = model(x).square().mean()
        return {"first": value, "total": 2 * value}

    history = training.train(model, [(torch.ones(2, 1),)] * 5, loss, steps=5, lr=0.01, max_norm=0.1)
    assert np.allclose(history["total"], 2 * history["first"])


def test_training_says_when_there_are_too_few_batches():
    model = torch.nn.Linear(1, 1)
    with pytest.raises(ValueError, match="only 2 batches for 5 steps"):
        training.train(model, [(torch.ones(2, 1),)] * 2, lambda x: model(x).sum(), steps=5, lr=0.01)


def test_minibatches_hold_each_example_once_an_epoch():
    x = torch.arange(10)
    batches = training.minibatches(5, x, 2 * x, generator=torch.Generator().manual_seed(0))
    first, second, third = (next(batches) for _ in range(3))
    assert sorted(torch.cat([first[0], second[0]]).tolist()) == list(range(10))
    assert (third[1] == 2 * third[0]).all()
    assert not torch.equal(first[0], third[0])


def test_a_notebook_is_measured_over_seeds(mini):
    cells = ['# %% tags=["measured"]', "from helpers.seeds import SEED", "print(f'accuracy: {SEED / 4}')", ""]
    mini.source.write_text("\n".join([mini.source.read_text(), *cells]))
    found = measure(mini, range(3))
    assert found.keys() == {"accuracy"}
    assert found["accuracy"].tolist() == [0, 0.25, 0.5]


def test_measuring_says_what_is_missing(mini, monkeypatch):
    monkeypatch.delenv("LFI_DATA", raising=False)
    with pytest.raises(UserError, match="no cell tagged `measured`"):
        measure(mini, range(1))
    with pytest.raises(UserError, match="--real needs LFI_DATA"):
        measure(mini, range(1), real=True)


def test_results_that_are_not_there_yet():
    kept = training.Kept()
    kept["net"] = 3
    assert kept["net"] == 3
    with pytest.raises(NotImplementedError, match="'curve' is not there: run the cell above"):
        kept["curve"]


def test_training_works_where_the_caller_has_switched_gradients_off():
    model = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        training.train(model, [(torch.ones(2, 1),)] * 200, lambda x: (model(x) - 2).square().mean(), steps=200, lr=0.1)
    assert torch.allclose(model.weight, torch.tensor([[2.0]]), atol=0.1)
