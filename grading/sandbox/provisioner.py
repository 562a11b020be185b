"""The sandbox as a jupyter_client kernel provisioner: `"provisioner_name": "lfi-sandbox"` in a kernelspec."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import KernelProvisionerBase
from traitlets import Integer

from grading.sandbox.host import KernelFolder, KernelProcess, Zygote
from grading.sandbox.limits import Limits

_DEFAULT = Limits()


class SandboxProvisioner(KernelProvisionerBase):
    """Starts kernels in the sandbox. The limits are settings: `c.SandboxProvisioner.memory = 4 << 30`."""

    memory = Integer(_DEFAULT.memory, help="Bytes of memory, files included.").tag(config=True)
    processes = Integer(_DEFAULT.processes, help="Processes and threads together.").tag(config=True)
    cpu = Integer(_DEFAULT.cpu, help="Processor seconds of one process.").tag(config=True)
    open_files = Integer(_DEFAULT.open_files, help="Open files of one process.").tag(config=True)
    file_size = Integer(_DEFAULT.file_size, help="Bytes of one file.").tag(config=True)
    disk = Integer(_DEFAULT.disk, help="Bytes of all files together.").tag(config=True)

    begun = False  # whether the kernel begins after the prologue that was asked for
    process: KernelProcess | None = None
    folder: KernelFolder | None = None

    @property
    def limits(self) -> Limits:
        """The limits of kernels started from now on."""
        names = ("memory", "processes", "cpu", "open_files", "file_size", "disk")
        return Limits(**{name: getattr(self, name) for name in names})

    @property
    def has_process(self) -> bool:
        """Whether a kernel has been started and not been cleaned up."""
        return self.process is not None

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """A fresh folder and fresh sockets for each start."""
        shared = address = Zygote.shared()
        if prologue := kwargs.pop("prologue", ()):
            address = Zygote.prepared(shared, tuple(prologue))
        self.begun = address != shared
        self.folder = KernelFolder(address)
        if kwargs.get("cwd"):
            self.folder.bring(Path(kwargs["cwd"]), self.disk // 2)
        manager = self.parent
        manager.transport, manager.ip = "ipc", str(self.folder.lines)
        manager.shell_port, manager.iopub_port, manager.stdin_port, manager.control_port = 1, 2, 3, 4
        manager.hb_port = 5
        self.connection_info = manager.get_connection_info()
        arguments = [
            *kwargs.pop("extra_arguments", []),
            "--HistoryManager.hist_file=:memory:",
            "--InteractiveShell.xmode=Plain",
        ]
        return {"cmd": arguments, "address": address}

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Fork a kernel and wait until it answers."""
        key = self.connection_info["key"].decode()
        self.process = KernelProcess(kwargs["address"], self.folder, key, self.limits, cmd)
        return self.connection_info

    async def poll(self) -> int | None:
        """None while the kernel runs, else its exit code."""
        return self.process.poll() if self.process else 0

    async def wait(self) -> int | None:
        """Wait for the kernel's end."""
        while self.process and self.process.poll() is None:
            await asyncio.sleep(0.005)
        code = self.process.returncode if self.process else 0
        self.process = None
        return code

    async def send_signal(self, signum: int) -> None:
        """Send a signal to the kernel."""
        if self.process:
            self.process.send_signal(signum)

    async def kill(self, restart: bool = False) -> None:
        """End the kernel and all that it started; returns when they are gone."""
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(5.0)

    async def terminate(self, restart: bool = False) -> None:
        """As kill: nothing in there needs to say goodbye."""
        await self.kill(restart)

    async def cleanup(self, restart: bool = False) -> None:
        """Remove the kernel's folder."""
        if self.process:
            await self.kill()
        if self.folder:
            self.folder.remove()
            self.folder = None
