"""CIFAR-10 and CIFAR-100 from their published Python files, read by a restricted unpickler."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from famus_ray.data.images import Images
from famus_ray.errors import UserError

__all__ = ["read_cifar10", "read_cifar100"]

_BYTES_PER_IMAGE = 3 * 32 * 32
# Channel means and standard deviations of the training images, by the number of classes.
_PIXELS = {
    10: ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    100: ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}


def read_cifar10(root: Path) -> tuple[Images, Images]:
    """Train and test images of CIFAR-10 from `root` or its folder `cifar-10-batches-py`.

    Raises:
        UserError: names a file that is missing, damaged or suspicious.
    """
    folder = _folder(root, "cifar-10-batches-py", "data_batch_1")
    train = [_read(folder / f"data_batch_{i}", "labels", 10) for i in range(1, 6)]
    return _images(train), _images([_read(folder / "test_batch", "labels", 10)])


def read_cifar100(root: Path) -> tuple[Images, Images]:
    """Train and test images of CIFAR-100 (fine labels) from `root` or its `cifar-100-python`.

    Raises:
        UserError: names a file that is missing, damaged or suspicious.
    """
    folder = _folder(root, "cifar-100-python", "train")
    train = _read(folder / "train", "fine_labels", 100)
    test = _read(folder / "test", "fine_labels", 100)
    superclass_of = np.zeros(100, dtype=np.int64)
    superclass_of[train["fine_labels"]] = train["coarse_labels"]
    return _images([train], superclass_of), _images([test], superclass_of)


class _ArraysOnly(pickle.Unpickler):
    """Unpickles only NumPy arrays and plain containers, and refuses any other class."""

    _ALLOWED = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)


def _folder(root: Path, name: str, member: str) -> Path:
    for folder in (root / name, root):
        if (folder / member).is_file():
            return folder
    if not root.is_dir():
        raise UserError(f"data.root = {root}: no such folder; it must hold {name}/")
    raise UserError(f"data.root = {root}: holds no {name}/{member}; unpack the data set there")


def _read(path: Path, label_key: str, classes: int) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            loaded = _ArraysOnly(file, encoding="latin1").load()
    except FileNotFoundError as error:
        raise UserError(f"{path}: missing; unpack the data set again") from error
    except pickle.UnpicklingError as error:
        if "asks for" in str(error):
            raise UserError(
                f"{path}: refused: {error}, which CIFAR's files never do; "
                "do not use a file from this source"
            ) from error
        raise UserError(f"{path}: damaged ({error}); download it again") from error
    except Exception as error:  # a damaged file raises errors of many types
        raise UserError(f"{path}: truncated or damaged ({error}); download it again") from error
    return _checked(path, loaded, label_key, classes)


def _checked(path: Path, loaded: Any, label_key: str, classes: int) -> dict[str, Any]:
    data = loaded.get("data") if isinstance(loaded, dict) else None
    if not isinstance(data, np.ndarray) or label_key not in loaded:
        raise UserError(f"{path}: not a CIFAR file: it must hold 'data' and '{label_key}'")
    labels = _class_numbers(path, loaded, label_key, classes)
    if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != _BYTES_PER_IMAGE:
        raise UserError(f"{path}: 'data' is {data.dtype}{list(data.shape)}, not uint8[N, 3072]")
    if len(labels) != len(data):
        raise UserError(f"{path}: {len(data)} images and {len(labels)} labels; download it again")
    checked = {**loaded, label_key: labels}
    if classes == 100:
        coarse = _class_numbers(path, loaded, "coarse_labels", 20)
        if len(coarse) != len(labels):
            raise UserError(f"{path}: {len(labels)} {label_key} and {len(coarse)} coarse_labels")
        checked["coarse_labels"] = coarse
    return checked


def _class_numbers(path: Path, loaded: dict[str, Any], key: str, classes: int) -> Any:
    values = loaded.get(key)
    if isinstance(values, list | np.ndarray) and all(
        isinstance(v, int | np.integer) for v in values
    ):
        labels = np.asarray(values, dtype=np.int64)
        if ((labels >= 0) & (labels < classes)).all():
            return labels
    raise UserError(f"{path}: '{key}' must be a list of whole numbers from 0 to {classes - 1}")


def _images(parts: list[dict[str, Any]], superclass_of: Any = None) -> Images:
    pixels = np.concatenate([part["data"] for part in parts]).reshape(-1, 3, 32, 32)
    key = "labels" if "labels" in parts[0] else "fine_labels"
    labels = np.concatenate([part[key] for part in parts])
    classes = 10 if key == "labels" else 100
    return Images(pixels, labels, classes, *_PIXELS[classes], superclass_of)
