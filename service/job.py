"""A job as it is put down on disk: what was asked for, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from i2i.image import Format
from i2i.prediction import View

# An erased job is unknown to everybody, but may be erased once more until its time is over.
State = Literal["queued", "running", "done", "failed", "cancelled", "erased"]


@dataclass(frozen=True)
class Job:
    """What is asked for, and how far it is; moments as of `time.time()`.

    Attributes:
        caller: who sent it; nobody else is told of it.
        model: name@version.
        width, height: of the picture, in pixels.
        request: SHA-256 of all that was asked for.
        bytes: that it holds in memory while it is worked on.
        created: moment.
        progress: share of the work done, 0 to 1.
        eta_s: seconds until it will be done, where that is known.
        error: why it failed, as `Problem.body`.
        runs: processes that began it and have not ended in order since.
        finished: moment; None until it is done, failed or cancelled.
        etag: SHA-256 of the result.
    """

    id: str
    caller: str
    model: str
    format: Format
    view: View | None
    width: int
    height: int
    request: str
    created: float
    state: State = "queued"
    progress: float = 0.0
    eta_s: float | None = None
    error: dict[str, Any] | None = None
    runs: int = 0
    finished: float | None = None
    etag: str = ""
    bytes: int = 0

    @property
    def pixels(self) -> int:
        return self.width * self.height

    def told(self) -> dict[str, Any]:
        """What its caller is told."""
        names = ("id", "state", "progress", "eta_s", "error")
        return {name: getattr(self, name) for name in names}
