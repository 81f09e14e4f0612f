"""metrics.csv: the curves of a run, which a resumed run goes on with."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from pytorch_lightning.loggers.logger import rank_zero_experiment

from i2i.image import write_bytes


class Curves(CSVLogger):
    """Lightning's CSV logger, which would delete an earlier metrics.csv.

    Args:
        folder: of the run.
        resumed_step: steps of the checkpoint that the run goes on from; what an interrupted run
            had logged after it is dropped, for it comes again.
    """

    def __init__(self, folder: str, resumed_step: int = 0) -> None:
        super().__init__(folder, name="", version="")
        self.folder, self.resumed_step = Path(folder), resumed_step

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        if self._experiment is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._experiment = _WholeFile(self.log_dir, self._earlier())
        return self._experiment

    def _earlier(self) -> list[dict[str, Any]]:
        path = self.folder / ExperimentWriter.NAME_METRICS_FILE
        if self.resumed_step == 0 or not path.is_file():
            return []
        with path.open(newline="") as file:
            return [row for row in csv.DictReader(file) if int(row["step"]) < self.resumed_step]


class _WholeFile(ExperimentWriter):
    """Keeps every row, and writes the file whole: neither a kill nor a full disk costs a row."""

    def __init__(self, folder: str, earlier: list[dict[str, Any]]) -> None:
        super().__init__(folder)
        self.metrics = earlier

    def _check_log_dir_exists(self) -> None:
        """Lightning deletes the earlier file here."""

    def save(self) -> None:
        if not self.metrics:
            return
        keys = sorted(set().union(*self.metrics))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, keys)
        writer.writeheader()
        writer.writerows(self.metrics)
        write_bytes(Path(self.metrics_file_path), text.getvalue().encode())
