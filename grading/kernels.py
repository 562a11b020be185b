"""Kernels that are reached over Unix sockets in a private folder instead of open TCP ports."""

from __future__ import annotations

import shutil
import tempfile

from jupyter_client.manager import AsyncKernelManager


class SocketKernelManager(AsyncKernelManager):
    """jupyter_client's kernel manager with its connection file and sockets in a folder that only we can read."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self._folder = tempfile.mkdtemp(prefix="lfi-")
        self.transport = "ipc"
        self.connection_file = f"{self._folder}/kernel.json"
        self.ip = f"{self._folder}/k"

    def cleanup_connection_file(self) -> None:
        super().cleanup_connection_file()
        shutil.rmtree(self._folder, ignore_errors=True)
