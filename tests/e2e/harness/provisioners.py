"""A provisioner as for kernels on other machines: the kernel chooses its ports there, and its file is fetched."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from jupyter_client.provisioning import LocalProvisioner

PATIENCE = 60.0


class ElsewhereProvisioner(LocalProvisioner):
    """Starts the kernel of a kernelspec in a folder that stands for a machine, with a connection file of its own."""

    machine: Any = None

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        if self.machine is None:
            self.machine = tempfile.TemporaryDirectory(prefix="machine-")
        kwargs.pop("extra_arguments", None)
        command = [part.replace("{connection_file}", str(self._file)) for part in self.kernel_spec.argv]
        environment = {**kwargs.pop("env"), "JPY_MACHINE": self.machine.name}
        return {**kwargs, "cmd": command, "env": environment, "cwd": self.machine.name}

    @property
    def _file(self) -> Path:
        return Path(self.machine.name) / "kernel.json"

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> dict[str, Any]:
        await super().launch_kernel(cmd, **kwargs)
        async with asyncio.timeout(PATIENCE):
            while not self._file.exists():
                assert await self.poll() is None, "the kernel has ended"
                await asyncio.sleep(0.02)
        info = json.loads(self._file.read_text())
        self.connection_info = {**info, "key": info["key"].encode()}
        return self.connection_info

    async def cleanup(self, restart: bool = False) -> None:
        await super().cleanup(restart=restart)
        if not restart and self.machine is not None:
            assert not self._file.exists(), "the kernel has left its connection file"
            self.machine.cleanup()
            self.machine = None
