"""What Lightning and torch say that tells a user nothing to do."""

from __future__ import annotations

import logging
import warnings

_SAYS_NOTHING = (
    "💡",
    "TPU",
    "The following callbacks returned in",
    "`weights_only` was not set",
    "Loading `train_dataloader` to estimate",
    "\nDetected KeyboardInterrupt",
)


def silence() -> None:
    """Leaves it out; of warnings until those that were caught before come back."""
    # Advertisements, and that our checkpoints take the place of Lightning's.
    for name in (
        "pytorch_lightning.utilities.rank_zero",
        "pytorch_lightning.trainer.connectors.checkpoint_connector",
        "lightning_fabric.utilities.rank_zero",
    ):
        logging.getLogger(name).addFilter(_tells)
    # The loaders' number of workers is a setting of ours, with a reason beside it.
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    warnings.filterwarnings("ignore", ".*Consider setting `persistent_workers.*")
    # They are those of the command line.
    warnings.filterwarnings("ignore", ".*LightningCLI's args parameter.*")
    # A resumed run goes on in its folder.
    warnings.filterwarnings("ignore", ".*irectory .* is not empty.*")
    # Our sampler goes on where the checkpoint is; Lightning looks for it in the loader.
    warnings.filterwarnings("ignore", ".*your dataloader is not resumable.*")
    # A short run logs more often, by `training.callbacks.diagnostics.log_often`.
    warnings.filterwarnings("ignore", ".*is smaller than the logging interval.*")
    # Lightning's own use of torch.
    warnings.filterwarnings("ignore", ".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*")
    # Those of a fit; a measurement needs none.
    warnings.filterwarnings("ignore", ".*callbacks used to create the checkpoint need to be.*")
    # A pair in an argument becomes a list in config.yaml: it is read back as the pair it was.
    warnings.filterwarnings("ignore", "(?s).*Dump of a value that does not round-trip.*")


def _tells(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_SAYS_NOTHING)
