"""metrics.csv: the curves of a run, which a resumed run goes on with."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from pytorch_lightning.loggers.logger import rank_zero_experiment


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
            earlier = self._earlier()
            # Written with the first that are new.
            super().experiment.metrics = earlier
        writer: Any = self._experiment
        return writer

    def _earlier(self) -> list[dict[str, Any]]:
        path = self.folder / ExperimentWriter.NAME_METRICS_FILE
        if self.resumed_step == 0 or not path.is_file():
            return []
        with path.open(newline="") as file:
            return [row for row in csv.DictReader(file) if int(row["step"]) < self.resumed_step]
