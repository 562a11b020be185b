"""One training loop for all notebooks: AdamW, one cycle of the learning rate, a progress bar, a live loss curve."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from helpers import plotting

REDRAW_SECONDS = 2.0


def device() -> torch.device:
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def minibatches(size: int, *tensors: Tensor, generator: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
    """Shuffled minibatches without end; every epoch in a new order, its incomplete last batch left out.

    Args:
        size: of a batch; all examples, if there are fewer.
        tensors: each (N, ...), on the CPU or a GPU.
        generator: of the orders, on the CPU.
    """
    number = len(tensors[0])
    size = min(size, number)
    while True:
        order = torch.randperm(number, generator=generator)
        for start in range(0, number - size + 1, size):
            chosen = order[start : start + size]
            yield tuple(tensor[chosen.to(tensor.device)] for tensor in tensors)


@torch.enable_grad()
def train(
    model: nn.Module,
    batches: Iterable[tuple],
    loss: Callable[..., Tensor | dict[str, Tensor]],
    *,
    steps: int,
    lr: float,
    weight_decay: float = 0.01,
    max_norm: float | None = None,
    name: str = "training",
    live: bool = False,
) -> dict[str, np.ndarray]:
    """Minimise a loss with AdamW and one cycle of the learning rate, also where the caller has switched gradients off.

    Args:
        model: whose parameters are trained, in train mode; it is in eval mode afterwards.
        batches: at least `steps` of them; more are left unused.
        loss: called as loss(*batch); gives a scalar, or a dict of scalars of which `total` is minimised.
        steps: number of updates.
        lr: largest learning rate, reached after 30 % of the steps.
        max_norm: gradients of a larger norm are scaled down to it.
        name: beside the progress bar.
        live: draw the curve of the loss while it runs.

    Returns:
        The losses by name (`total` for a scalar), each a (steps,) array.

    Source: Loshchilov and Hutter, AdamW, 2019; Smith and Topin, super-convergence (one cycle), 2018.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=lr, total_steps=max(steps, 2))
    history: dict[str, list[float]] = {}
    curve = _LiveCurve(name) if live else None
    model.train()
    with tqdm(itertools.islice(batches, steps), total=steps, desc=name) as bar:
        for batch in bar:
            found = loss(*batch)
            losses = found if isinstance(found, dict) else {"total": found}
            optimizer.zero_grad(set_to_none=True)
            losses["total"].backward()
            if max_norm is not None:
                nn.utils.clip_grad_norm_(parameters, max_norm)
            optimizer.step()
            schedule.step()
            for part, value in losses.items():
                history.setdefault(part, []).append(float(value.detach()))
            bar.set_postfix(loss=f"{history['total'][-1]:.3g}", refresh=False)
            if curve:
                curve.update(history["total"])
    if len(history.get("total", [])) < steps:
        raise ValueError(f"There were only {len(history.get('total', []))} batches for {steps} steps.")
    model.eval()
    return {part: np.array(values) for part, values in history.items()}


class Kept(dict):
    """Results of training cells by name. Asking for one that is not there tells what to do about it."""

    def __missing__(self, name: str):
        raise NotImplementedError(f"{name!r} is not there: run the cell above that makes it (it may need your tasks).")


class _LiveCurve:
    """A curve in an image widget, drawn anew every few seconds."""

    def __init__(self, name: str):
        import ipywidgets
        from IPython.display import display

        self.name, self.drawn = name, time.monotonic()
        self.image = ipywidgets.Image(format="png")
        display(self.image)

    def update(self, losses: list[float]) -> None:
        if time.monotonic() - self.drawn > REDRAW_SECONDS:
            self.image.value = plotting.render(lambda ax: self._draw(ax, losses), (4.6, 2.4))
            self.drawn = time.monotonic()

    def _draw(self, ax, losses: list[float]) -> None:
        ax.plot(losses, linewidth=0.8)
        ax.set(xlabel="step", ylabel="loss", yscale="log" if min(losses) > 0 else "linear", title=self.name)
