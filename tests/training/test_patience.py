"""A run that is given more patience than it had."""

import torch

from training.callbacks import Patience


def test_a_resumed_run_has_the_patience_that_it_is_given_and_its_own_last_words() -> None:
    first = Patience("score", "max", patience=1)
    first.best_score, first.wait_count = torch.tensor(3.0), 1
    first.stopping_reason_message = "did not improve"

    resumed = Patience("score", "max", patience=50)
    resumed.load_state_dict(first.state_dict())

    assert (resumed.patience, resumed.wait_count, float(resumed.best_score)) == (50, 1, 3.0)
    assert resumed.stopping_reason_message is None
