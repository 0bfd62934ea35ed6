"""Out-of-sample class probabilities by cross-validation, and cleanlab's ranking by them."""

# Shapes: N training examples, B of them in a batch, C classes.
from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from famus_ray.config.schema import Config, LossConfig, MetaConfig, MethodConfig, ScaleConfig
from famus_ray.data.batches import eval_batches
from famus_ray.data.catalog import Dataset, Split, load_dataset
from famus_ray.errors import UserError
from famus_ray.models.catalog import build_model
from famus_ray.records.checkpoint import load_checkpoint
from famus_ray.records.run_folder import RunFolder
from famus_ray.training.loop import epochs, pick_device

__all__ = ["cleanlab_ranking", "out_of_sample_probabilities"]


def cleanlab_ranking(config: Config, folds: int, on_fold: Callable[[int], None]) -> pd.DataFrame:
    """cleanlab's ranking of the training labels of a run, in the columns of `rank_labels`.

    Args:
        config: the run's settings.
        folds: of the cross-validation, at least 2.
        on_fold: called with each fold's number, from 0, before it is trained.

    Raises:
        UserError: cleanlab is not installed, or the data are missing.
    """
    try:
        from cleanlab.rank import get_label_quality_scores
    except ImportError as error:
        raise UserError("cleanlab is not installed; pip install 'famus-ray[labels]'") from error
    data = load_dataset(config.data, config.noise, config.run.seed)
    probabilities_NC = out_of_sample_probabilities(config, data, folds, on_fold)
    given = data.train.labels.numpy()
    ranked = pd.DataFrame(
        {
            "id": data.train.ids.numpy(),
            "label_score": get_label_quality_scores(given, probabilities_NC),
            "given_label": given,
            "predicted_label": probabilities_NC.argmax(axis=1),
            "true_label": data.train.true_labels.numpy(),
        }
    )
    return ranked.sort_values("label_score", kind="stable", ignore_index=True)


def out_of_sample_probabilities(
    config: Config, data: Dataset, folds: int, on_fold: Callable[[int], None] = lambda fold: None
) -> NDArray[np.float64]:
    """Probabilities (N, C) of the classes, by networks not trained on the example itself.

    Network, optimiser and schedule are the run's; the method is plain cross-entropy. Each fold
    uses the weights of its best epoch on the split that the run selects on.

    Args:
        config: the run's settings.
        data: the run's data set.
        folds: of the cross-validation, at least 2.
        on_fold: called with each fold's number, from 0, before it is trained.
    """
    plain = config.model_copy(
        update={
            "method": MethodConfig(name="ce"),
            "loss": LossConfig(),
            "meta": MetaConfig(),
            "scale": ScaleConfig(),
        }
    )
    count = len(data.train)
    rng = np.random.default_rng([config.run.seed, 0x666F6C64])
    fold_of = torch.from_numpy(rng.permutation(np.arange(count) % folds))
    found_NC = torch.zeros(count, data.classes, dtype=torch.float64)
    for fold in range(folds):
        on_fold(fold)
        inside, outside = (fold_of != fold).nonzero()[:, 0], (fold_of == fold).nonzero()[:, 0]
        with tempfile.TemporaryDirectory() as folder:
            run = RunFolder(Path(folder))
            for _ in epochs(plain, run, data=replace(data, train=data.train[inside])):
                pass
            found_NC[outside] = _probabilities(plain, data, data.train[outside], run.best)
    return found_NC.numpy()


@torch.no_grad()
def _probabilities(config: Config, data: Dataset, split: Split, checkpoint: Path) -> Tensor:
    device = pick_device(config)
    model = build_model(config.model, data.classes, data.channels).to(device)
    model.load_state_dict(load_checkpoint(checkpoint, device)["model"])
    model.eval()
    batches = eval_batches(data, split.to(device))
    logits_NC = torch.cat([model(inputs).double().cpu() for inputs, _ in batches])
    return logits_NC.softmax(dim=1)
