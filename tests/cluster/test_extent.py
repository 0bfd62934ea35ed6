"""How large a cluster may become, what it costs and when it ends, from its file."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml

from famus_ray.cluster.extent import Extent, Group
from famus_ray.cluster.kinds import provider_of
from famus_ray.cluster.machines import MACHINES
from famus_ray.cluster.manifests import extent_of_manifests

FILES = Path(__file__).parents[2] / "cluster"


def lines(path: Path) -> list[str]:
    return [line.partition(": ")[2] for line in provider_of(path).extent(path).lines()]


def edited(tmp_path: Path, name: str, *edits: tuple[str, str]) -> Path:
    text = (FILES / name).read_text(encoding="utf-8")
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_rented_machines_with_their_price_and_end():
    machines, price, ends = lines(FILES / "aws/gpu-ondemand.yaml")
    assert machines == (
        "1 m7i.xlarge (the head, no trials), 0 to 2 g6.12xlarge (48 CPUs and 4 GPUs each)"
    )
    head, gpu = MACHINES["m7i.xlarge"].dollars, MACHINES["g6.12xlarge"].dollars
    # The head lives for a day; a worker that starts as it ends lives for another.
    assert price.startswith(
        f"about ${head:.2f} to ${head + 2 * gpu:.2f} an hour, "
        f"at most ${math.ceil(24 * head + 48 * 2 * gpu)} in all"
    )
    assert "a guide, not a quote" in price
    assert ends == "workers after 5 idle minutes; every machine 24 hours after its start"


def test_spot_machines_have_their_own_price(tmp_path: Path):
    machines, price, _ = lines(FILES / "gcp/gpu.yaml")
    assert "0 to 4 g2-standard-8 on spot (8 CPUs and 1 GPU each)" in machines
    head, gpu = MACHINES["e2-standard-4"].dollars, MACHINES["g2-standard-8"].spot
    assert price.startswith(f"about ${head:.2f} to ${head + 4 * gpu:.2f} an hour")


def test_what_does_not_end_has_no_most_in_all():
    _, price, ends = lines(FILES / "azure/gpu.yaml")
    assert "no most in all" in price
    assert "the head not by itself: `down` ends it" in ends


def test_an_unknown_machine_type_has_no_price_and_no_size(tmp_path: Path):
    path = edited(tmp_path, "aws/gpu-ondemand.yaml", ("g6.12xlarge", "g9.12xlarge"))
    _, price, _ = lines(path)
    assert price == "unknown, for g9.12xlarge; look at the provider's list"
    assert provider_of(path).extent(path).nodes() is None


def test_the_most_workers_of_all_types_together_are_counted_and_paid():
    a = Group("a", 0, 4, cpus=8, gpus=0, dollars=1.0, hours=1)
    b = Group("b", 0, 4, cpus=8, gpus=2, dollars=3.0, hours=1)
    head = Group("h", 1, 1, cpus=0, gpus=0, dollars=0.5, hours=1, is_head=True)
    extent = Extent([head, a, b], workers=5)
    assert "$0.50 to $13.50 an hour, at most $27 in all" in [*extent.lines()][1]
    assert [node["GPU"] for node in extent.nodes() or ()] == [0, 2, 2, 2, 2, 0]
    assert extent.nodes(most=False) == [{"CPU": 0, "GPU": 0}]


def test_ones_own_machines_cost_nothing_and_slurm_tells_its_limit(tmp_path: Path):
    machines, price, _ = lines(FILES / "onprem/cluster.yaml")
    assert (machines, price) == ("2 machines of yours", "nothing is rented")
    machines, _, ends = lines(FILES / "slurm/famus.sbatch")
    assert machines == "2 nodes (8 CPUs and 1 GPU each)"
    assert ends == "each job when its command does, at the latest after --time=08:00:00"


def test_kubernetes_tells_pods_and_deadline():
    manifest = yaml.safe_load((FILES / "kubernetes/base/rayjob.yaml").read_text(encoding="utf-8"))
    extent = extent_of_manifests([manifest])
    machines, _, ends = (line.partition(": ")[2] for line in extent.lines())
    assert machines == "1 head pod (the head, no trials), 0 to 4 worker pods (4 CPUs each)"
    assert ends.endswith("when the job does; at the latest after 24 hours")
    limits = manifest["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["template"]["spec"]
    limits["containers"][0]["resources"]["limits"] |= {"nvidia.com/gpu": 2, "cpu": "500m"}
    assert (extent_of_manifests([manifest]).nodes() or [])[1] == {"CPU": 0.5, "GPU": 2}


def test_skypilot_tells_its_idle_time():
    _, price, ends = lines(FILES / "skypilot/famus.sky.yaml")
    assert "sky launch --dryrun says it" in price
    assert ends == "after 10 idle minutes"


@pytest.mark.parametrize("name", ["aws/gpu-spot.yaml", "aws/gpu-ondemand.yaml", "gcp/gpu.yaml"])
def test_trials_fill_the_machines(name: str):
    nodes = provider_of(FILES / name).extent(FILES / name).nodes()
    file = yaml.safe_load((FILES / name).read_text(encoding="utf-8"))
    assert len(nodes or ()) == 1 + file["max_workers"]
