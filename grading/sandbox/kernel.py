"""The IPython kernel that a forked process becomes. Its sockets were opened outside and handed in."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable

import zmq
from ipykernel.kernelapp import IPKernelApp
from jupyter_core.paths import jupyter_runtime_dir

INLINE = "module://matplotlib_inline.backend_inline"


class HandedIn(IPKernelApp):
    """An IPython kernel whose connection is given instead of read from a file.

    Attributes:
        line: {"key": the messages' HMAC key, "descriptors": {port: open listening socket}}.
    """

    line: dict = {}

    def init_connection_file(self):
        """Take the connection from `line`."""
        self.transport, self.ip = "ipc", f"{jupyter_runtime_dir()}/k"
        self.session.key = self.line["key"].encode()
        self.shell_port, self.iopub_port, self.stdin_port, self.control_port = 1, 2, 3, 4

    def write_connection_file(self, **kwargs):
        """There is none."""

    def init_heartbeat(self):
        """There is none: the fork server sees when the kernel ends."""

    def _try_bind_socket(self, s, port):
        s.setsockopt(zmq.USE_FD, self.line["descriptors"][port])
        return super()._try_bind_socket(s, port)


def fresh_randomness() -> None:
    """Forked processes would all draw the same numbers."""
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    if "torch" in sys.modules:
        sys.modules["torch"].seed()


class Begun:
    """Where kernels go on after a prologue.

    Attributes:
        names: The namespace in which the prologue has run.
    """

    def __init__(self, names: dict):
        self.names = names
        self._randomness = _states()

    def bring_back_randomness(self) -> None:
        """Every source of random numbers goes on as if all had run in one process (Python's is seeded at each fork)."""
        for bring_back, state in self._randomness:
            bring_back(state)


def _states() -> list[tuple[Callable, object]]:
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    states = [(random.setstate, random.getstate())]
    states += [(numpy.random.set_state, numpy.random.get_state())] if numpy else []
    states += [(torch.set_rng_state, torch.get_rng_state())] if torch else []
    return states


def start(line: dict, arguments: list[str], begun: Begun | None = None) -> HandedIn:
    """Make the kernel ready to answer; `app.start()` then never returns.

    Args:
        line: See HandedIn.
        arguments: Of the kernel's command line.
        begun: What a prologue has left. The first of its cells, the set-up, runs again, because it may need the kernel;
            random numbers then go on as if it had not.
    """
    if begun is None:
        fresh_randomness()
    os.makedirs(jupyter_runtime_dir(), exist_ok=True)
    HandedIn.line = line
    app = HandedIn.instance(user_ns=begun and begun.names)
    app.initialize(["-f", f"{jupyter_runtime_dir()}/kernel.json", *arguments])
    app.shell._update_exit_now = lambda change: None  # exit() ends nothing: later cells still count
    if "matplotlib" in sys.modules:
        _figures_inline(app)
    if begun is not None:
        _once_after_a_cell(app.shell, begun.bring_back_randomness)
    return app


def _once_after_a_cell(shell, action: Callable[[], None]) -> None:
    def after(*_):
        shell.events.unregister("post_run_cell", after)
        action()

    shell.events.register("post_run_cell", after)


def _figures_inline(app: HandedIn) -> None:
    """As when matplotlib is imported for the first time in a kernel."""
    import matplotlib

    matplotlib.rcParams["backend"] = INLINE
    if "matplotlib.pyplot" in sys.modules:
        import matplotlib_inline.backend_inline as inline

        sys.modules["matplotlib.pyplot"].switch_backend(INLINE)
        inline.configure_inline_support(app.shell, INLINE)
