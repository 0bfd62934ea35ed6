"""A classifier of images in the shape of scikit-learn's."""

# Shapes: N images, C classes.
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from famus_ray.api import train
from famus_ray.config.schema import Config
from famus_ray.data.augment import normalise
from famus_ray.data.catalog import load_dataset
from famus_ray.data.images import Source
from famus_ray.data.own.array_images import images_of, pixels_of
from famus_ray.errors import UserError
from famus_ray.models.modes import eval_mode
from famus_ray.reading.folders import load_samples
from famus_ray.reading.labels import load_labels
from famus_ray.records.checkpoint import load_checkpoint
from famus_ray.records.run_folder import RunFolder
from famus_ray.training.loop import pick_device, start

__all__ = ["FamusClassifier"]

_AT_ONCE = 1024  # images


class FamusClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A network trained on noisy labels, with the interface of scikit-learn's classifiers.

    No example is held out: the network is the one after the last epoch.

    Args:
        method: a method's name or declaration; famus with clean examples, ce without.
        model: a network's name, a function or class of (classes, channels), or a network; chosen
            by the images when left out.
        settings: further settings by section, such as `{"schedule": {"epochs": 20}}`.
        seed: decides everything random.
        root: folder that holds the runs, one for each `fit`.
        quiet: show no progress.

    Attributes:
        classes_: the labels that occur in `y`, sorted (C,).
        run_: the folder of the run.
        network_: from normalised images to logits.
        sample_weight_: (N,) in (0, 1), at the end; 1 of methods that learn no weights.
        label_scores_: (N,) in (0, 1), the lower the more probably the given label is wrong.
    """

    def __init__(
        self, method: Any = None, model: Any = None, settings: Mapping[str, Any] | None = None,
        seed: int = 0, root: str | Path = "runs", quiet: bool = True,
    ) -> None:  # fmt: skip
        self.method = method
        self.model = model
        self.settings = settings
        self.seed = seed
        self.root = root
        self.quiet = quiet

    def fit(self, X: Any, y: Any, X_meta: Any = None, y_meta: Any = None) -> FamusClassifier:
        """Trains on images and labels that may be wrong; returns itself.

        Args:
            X: images as of `famus_ray.train`: (N, H, W), (N, H, W, channels) or (N, channels, H,
                W), uint8 or in [0, 1].
            y: labels (N,), whole numbers or strings.
            X_meta, y_meta: clean examples, if there are some.

        Raises:
            UserError: arrays that cannot be read, or in two ways; settings that do not fit.
            Diverged: a loss that is not finite.
        """
        if (X_meta is None) != (y_meta is None):
            raise UserError("X_meta and y_meta: hand over both, or none")
        train_images = images_of((X, y), "X")
        self.classes_, first = np.unique(np.asarray(y), return_index=True)
        meta = None if X_meta is None else images_of((X_meta, y_meta), "X_meta", train_images)
        # A run tests its network. These are trained on, so their accuracy says nothing.
        test = replace(
            train_images, pixels=train_images.pixels[first], labels=train_images.labels[first],
            true_labels=None,
        )  # fmt: skip
        settings = dict(self.settings or {})
        data = {"validation_fraction": 0.0, **settings.pop("data", {})}
        run = {"seed": self.seed, "root": str(self.root), **settings.pop("run", {})}
        result = train(
            "own",
            *(f"data.{key}={json.dumps(value)}" for key, value in data.items()),
            data=Source(train_images, test, meta=meta),
            method=self.method,
            model=self.model,
            run={**run, "select": "test"},
            quiet=self.quiet,
            **settings,
        )
        self.run_ = result.path
        self._set_network(result.config)
        self._set_examples(len(train_images.labels))
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of each image (N,), one of `classes_`."""
        found: NDArray[Any] = self.classes_[self.predict_proba(X).argmax(1)]
        return found

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """The probability of each class (N, C), in the order of `classes_`.

        Raises:
            UserError: images of another shape than those of `fit`.
        """
        check_is_fitted(self)
        pixels_N = torch.from_numpy(pixels_of(X, "X"))
        if tuple(pixels_N.shape[1:]) != self._shape:
            raise UserError(f"X: images of {tuple(pixels_N.shape[1:])}, of {self._shape} in fit")
        device = next(self.network_.parameters()).device
        rows = []
        with torch.no_grad(), eval_mode(self.network_):
            for some in pixels_N.split(_AT_ONCE):
                logits_BC = self.network_(normalise(some.to(device), *self._moments))
                rows.append(logits_BC.double().softmax(1).cpu())
        found: NDArray[np.float64] = torch.cat(rows).numpy()
        return found

    def _set_network(self, config: Config) -> None:
        """Loads the network as it was after the last epoch."""
        device = pick_device(config)
        data = load_dataset(config.data, config.noise, config.run.seed).to(device)
        procedure = start(config, data, device)
        procedure.load_state_dict(load_checkpoint(RunFolder(self.run_).last, device))
        self.network_ = procedure.predictor
        self._moments = data.mean, data.std
        self._shape = tuple(data.train.pixels.shape[1:])

    def _set_examples(self, count: int) -> None:
        samples = load_samples(self.run_)
        last = samples[samples["epoch"] == samples["epoch"].max()]
        places = range(count)
        weights = last.groupby("id")["weight"].mean().reindex(places)
        self.sample_weight_ = weights.fillna(1.0).to_numpy()
        scores = load_labels(self.run_).set_index("id")["label_score"]
        self.label_scores_ = scores.reindex(places).to_numpy()
