"""A real container of this machine, as restricted as a deployment should run it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from scripts.serving import free_port, is_ready


@dataclass(frozen=True)
class Container:
    """A container that runs, or has run.

    Attributes:
        program: podman or docker.
        id: of the container.
        url: where it answers.
    """

    program: str
    id: str
    url: str

    def inspect(self, template: str) -> str:
        """What the program says of the container, by a Go template."""
        return output(self.program, "inspect", "--format", template, self.id)

    def lives(self) -> bool:
        return self.inspect("{{.State.Running}}") == "true"


@contextmanager
def running(program: str, image: str, *options: str) -> Iterator[Container]:
    """A ready container without capabilities on a read-only disk, with 1 GiB of memory."""
    port = str(free_port())
    hardened = ["--read-only", "--tmpfs", "/tmp", "--cap-drop=all", "--memory", "1g"]
    hardened += ["--security-opt", "no-new-privileges"]
    loopback = ["--network=host", "-e", "BENTOML_HOST=127.0.0.1", "-e", f"BENTOML_PORT={port}"]
    name = output(program, "run", "-d", *hardened, *loopback, *options, image)
    container = Container(program, name, f"http://127.0.0.1:{port}")
    try:
        if not is_ready(container.url, container.lives):
            raise RuntimeError(
                f"the container did not become ready:\n{output(program, 'logs', name)}"
            )
        yield container
    finally:
        output(program, "rm", "-f", name)


def output(*command: str) -> str:
    """Its standard output, without the spaces around it."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
