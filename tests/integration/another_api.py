"""An API process beside the one of the engine, which a test may kill."""

import signal

import httpx
import psutil

from cli.local.ports import free_port
from cli.local.processes import Engine, EngineProcess, api_command


class AnotherApi:
    """An API process of a test's own."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._port = engine, free_port(0)
        self.url = f"http://127.0.0.1:{self._port}"
        self._process = self.start()

    def start(self) -> EngineProcess:
        self._process = self._engine.start("another-api", *api_command(self._port))
        self._engine.wait_until(self._answers, "the API")
        return self._process

    def kill(self) -> None:
        """Kill it and its worker processes, as when the machine is switched off."""
        parent = psutil.Process(self._process.popen.pid)
        for process in (*parent.children(recursive=True), parent):
            process.send_signal(signal.SIGKILL)
        self._process.popen.wait()
        self._engine.processes.remove(self._process)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", trust_env=False).is_success
        except httpx.HTTPError:
            return False
