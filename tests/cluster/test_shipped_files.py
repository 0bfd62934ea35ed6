"""The cluster files that are shipped: without a problem, and of one version with the package."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from famus_ray.cluster.checks import check_file, left_out
from famus_ray.cluster.checks.kubernetes import renderer
from famus_ray.cluster.checks.versions import ray_versions
from famus_ray.cluster.machines import MACHINES, PRICES_OF

ROOT = Path(__file__).parents[2]
FILES = ROOT / "cluster"
KUSTOMIZED = sorted(path.parent for path in FILES.rglob("kustomization.yaml"))
SINGLE = sorted(
    path
    for path in (*FILES.rglob("*.yaml"), *FILES.rglob("*.sbatch"))
    if path.parent not in KUSTOMIZED and not path.name.endswith(".cfn.yaml")
)
README = (FILES / "README.md").read_text(encoding="utf-8")


def short(path: Path) -> str:
    return str(path.relative_to(FILES))


@pytest.mark.parametrize("path", [*SINGLE, *KUSTOMIZED], ids=short)
def test_only_what_is_the_users_own_is_missing(path: Path):
    problems = check_file(path)
    assert {problem.rule for problem in problems} <= {"placeholder"}, "\n".join(map(str, problems))
    for problem in problems:
        assert "REPLACE-ME" in path.read_text(encoding="utf-8").splitlines()[problem.line - 1]


def test_the_overlays_are_rendered_where_there_is_a_program_for_it():
    if renderer() is None:
        pytest.skip("needs kubectl or kustomize, which render a folder")
    assert not [note for note in left_out(KUSTOMIZED[0]) if "rendered" in note]


@pytest.mark.parametrize("path", KUSTOMIZED, ids=short)
def test_a_mistake_in_a_patch_is_found_once_rendered(path: Path, tmp_path: Path):
    if renderer() is None:
        pytest.skip("needs kubectl or kustomize, which render a folder")
    kind = "RayCluster" if path.name == "standing" else "RayJob"
    where = "/spec" if kind == "RayCluster" else "/spec/rayClusterSpec"
    patch = [{"op": "add", "path": f"{where}/headGroupSpec/rayStartParms", "value": {}}]
    copied = shutil.copytree(FILES / "kubernetes", tmp_path / "kubernetes")
    folder = copied / "mine"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(
        f"resources: [../{path.relative_to(FILES / 'kubernetes')}]\npatches:\n"
        f"  - target: {{kind: {kind}}}\n    patch: '{json.dumps(patch)}'\n"
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
    )
    (problem,) = check_file(folder)
    assert (problem.rule, problem.line) == ("kuberay", 2), problem
    assert "did you mean 'rayStartParams'" in problem.what


def test_rays_version_is_one_in_all_files_and_allowed_by_the_package():
    asked = {
        version
        for path in (*SINGLE, *FILES.rglob("*.yaml"), FILES / "Dockerfile")
        for line in path.read_text(encoding="utf-8").splitlines()
        for version in [*ray_versions(line), *re.findall(r'rayVersion: "(.*)"', line)]
    }
    (version,) = {one.removeprefix("==") for one in asked}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = map(Requirement, project["optional-dependencies"]["train"])
    (package,) = (one for one in needed if one.name == "ray")
    assert version in package.specifier
    assert "<" in str(package.specifier)
    assert f"ray=={version}" in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()


def test_the_image_is_of_one_name_not_root_and_of_fixed_versions():
    text = (FILES / "Dockerfile").read_text(encoding="utf-8")
    commands = re.findall(r"^[A-Z]+ .*", text, re.MULTILINE)
    assert re.fullmatch(r"FROM nvidia/cuda:\d+\.\d+\.\d+-\S+", commands[0])
    assert [c for c in commands if c.startswith("USER")] == ["USER 1001"]
    assert commands.index("USER 1001") > max(
        i for i, command in enumerate(commands) if command.startswith("RUN")
    )
    assert "-c constraints.txt" in text
    for name in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE):
        assert all((ROOT / part).exists() for part in name.split())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    image = f"famus-ray:{project['version']}"
    assert image in text
    for path in (FILES / "kubernetes").rglob("*.yaml"):
        used = re.findall(r"image: (\S+)", path.read_text(encoding="utf-8"))
        assert set(used) <= {image}


def test_what_is_copied_to_the_machines_suffices_to_install(tmp_path: Path):
    """Every file that the build of the package reads is among the mounts of each file."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    build = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*build["packages"], *build.get("force-include", {}), project["project"]["readme"]}
    needed |= {"pyproject.toml", "constraints.txt", *project["project"]["license-files"]}
    for path in SINGLE:
        mounts = yaml.safe_load(path.read_text(encoding="utf-8")) if path.suffix == ".yaml" else {}
        if "file_mounts" in mounts:
            assert needed <= {*mounts["file_mounts"].values()}, path
            assert all((ROOT / name).exists() for name in needed)


def test_the_table_of_files_names_each_with_its_price():
    rows = {row[1]: row for row in map(cells, README.splitlines()) if len(row) > 5}
    for path in [*SINGLE, *KUSTOMIZED]:
        row = rows[f"`{short(path)}`"]
        assert re.search("launched|validated", row[3])
        for name, machine in MACHINES.items():
            if f"{name} " in row[4]:
                assert f"{name} {machine.dollars:.2f}" in row[4]
        if path.suffix == ".yaml":
            text = path.read_text(encoding="utf-8")
            used = re.findall(r"(?:InstanceType|machineType|vmSize): (\S+)", text)
            assert all(f"{name} " in row[4] for name in used)
    assert f"list prices of {PRICES_OF}" in README


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")]


def test_the_template_of_the_network_has_no_mistake():
    if importlib.util.find_spec("cfnlint") is None:
        pytest.skip("needs cfn-lint")
    from cfnlint.api import lint_file

    assert lint_file(FILES / "aws/network.cfn.yaml") == []


def test_the_network_is_open_to_the_given_range_alone():
    template = yaml.safe_load((FILES / "aws/network.cfn.yaml").read_text(encoding="utf-8"))
    ingress = template["Resources"]["Nodes"]["Properties"]["SecurityGroupIngress"]
    assert [(rule["FromPort"], rule["ToPort"], rule["CidrIp"]) for rule in ingress] == [
        (22, 22, {"Ref": "SshRange"})
    ]
    bucket = template["Resources"]["Runs"]["Properties"]
    assert all(bucket["PublicAccessBlockConfiguration"].values())
    allowed = template["Parameters"]["SshRange"]["AllowedPattern"]
    assert "Default" not in template["Parameters"]["SshRange"]
    assert re.match(allowed, "203.0.113.7/32")
    assert not re.match(allowed, "0.0.0.0/0")
    for statement in template["Resources"]["HeadRole"]["Properties"]["Policies"][0][
        "PolicyDocument"
    ]["Statement"]:
        actions = statement["Action"]
        for action in [actions] if isinstance(actions, str) else actions:
            assert "*" not in action
        assert statement["Resource"] != "*" or statement["Sid"] == "Look"


def test_skypilots_own_reader_takes_the_task(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    if importlib.util.find_spec("sky") is None:
        pytest.skip("needs skypilot")
    monkeypatch.setenv("HOME", str(tmp_path))
    import sky

    task = sky.Task.from_yaml(str(FILES / "skypilot/famus.sky.yaml"))
    assert task.num_nodes == 2
    assert all(resources.use_spot for resources in task.resources)
