"""Kernels that are reached over Unix sockets in a private folder instead of open TCP ports."""

from __future__ import annotations

import shutil
import tempfile

from jupyter_client.manager import AsyncKernelManager, KernelManager


class _Sockets:
    """Puts a kernel manager's connection file and sockets into a folder that only we can read."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self._folder = tempfile.mkdtemp(prefix="lfi-")
        self.transport = "ipc"
        self.connection_file = f"{self._folder}/kernel.json"
        self.ip = f"{self._folder}/k"

    def cleanup_connection_file(self) -> None:
        super().cleanup_connection_file()
        shutil.rmtree(self._folder, ignore_errors=True)


class SocketKernelManager(_Sockets, AsyncKernelManager):
    """For nbclient."""


class OrdinaryKernelManager(_Sockets, KernelManager):
    """For grading.session: a kernel without any protection."""
