"""What the processes of Ray get of the user's process, tried in a fresh one."""

import subprocess
import sys
import threading

import pytest

from famus_ray import UserError, handed
from famus_ray.scale.parcel import parcel

FRESH = """
import sys
from pathlib import Path
import ray.cloudpickle
assert "ournets" not in sys.modules
ray.cloudpickle.loads(Path(sys.argv[1]).read_bytes()).unpack()
from famus_ray.config.import_path import imported
from famus_ray.config.schema import ModelConfig
from famus_ray.models.catalog import build_model
for name in sys.argv[2:]:
    print(build_model(ModelConfig(name=name), 3, 1)[1].out_features)
"""

NETS = """
import timm
from torch import nn

def small(classes, channels):
    return nn.Sequential(nn.Flatten(), nn.Linear(64 * channels, classes))

@timm.models.register_model
def of_this_file(pretrained=False, num_classes=2, in_chans=1, **kwargs):
    return small(num_classes, in_chans)
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """A module in a folder that this process alone searches."""
    (tmp_path / "ournets.py").write_text(NETS)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    import ournets

    yield ournets
    sys.modules.pop("ournets", None)


def test_a_fresh_process_finds_folders_objects_and_registered_networks(nets, tmp_path, monkeypatch):
    held = handed.path_of(nets.small(3, 1))
    names = ["ournets:small", held, "of_this_file"]
    monkeypatch.chdir(tmp_path.parent)  # not where the module is
    import ray.cloudpickle

    (tmp_path / "parcel").write_bytes(ray.cloudpickle.dumps(parcel([*names, 1, None])))
    words = [sys.executable, "-c", FRESH, str(tmp_path / "parcel"), *names]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["3", "3", "3"], done.stderr


def test_an_object_that_cannot_be_sent_is_named_with_what_to_do():
    lock = threading.Lock()
    path = handed.path_of(lambda classes, channels: lock)
    with pytest.raises(UserError, match=r"cannot be sent to the processes of Ray .*import path"):
        parcel([path])
