"""Ten mistakes of each kind of cluster file: each is found, at its line, by its rule."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
from pathlib import Path
from random import Random

import pytest
import yaml

from famus_ray.cluster.checks import check_file, left_out
from famus_ray.cluster.yaml_lines import read
from famus_ray.errors import UserError

FILES = Path(__file__).parents[2] / "cluster"

# Each mistake: the text that is replaced, the text in its place, the rule, and a text of the line
# that the problem names.
AWS = {
    "a misspelt key": ("max_workers: 4\nup", "max_worker: 4\nup", "ray-schema", "max_worker:"),
    "a misspelt key of the machine": (
        "InstanceType: m7i",
        "InstanceTyp: m7i",
        "aws",
        "InstanceTyp",
    ),
    "a misspelt value of the machine": ("MarketType: spot", "MarketType: spott", "aws", "spott"),
    "no such machine type": ("g6.2xlarge", "g6.3xlarge", "aws", "g6.3xlarge"),
    "the old metadata service": (
        "HttpTokens: required",
        "HttpTokens: optional",
        "imdsv2",
        "optional",
    ),
    "a public dashboard": ("host=127.0.0.1", "host=0.0.0.0", "dashboard", "host=0.0.0.0"),
    "no idle timeout": ("idle_timeout_minutes: 5\n", "", "idle-timeout", "cluster_name"),
    "a disk that is not encrypted": (
        "VolumeSize: 150, VolumeType: gp3, Encrypted: true",
        "VolumeSize: 150, VolumeType: gp3, Encrypted: false",
        "encrypted-disk",
        "Encrypted: false",
    ),
    "no time of death": (
        "InstanceInitiatedShutdownBehavior: terminate",
        "EbsOptimized: true",
        "kill-time",
        "    node_config",
    ),
    "a time of death that is none": (
        "shutdown -h +1440",
        "shutdown -c",
        "kill-time",
        "InstanceInitiatedShutdownBehavior",
    ),
    "a time of death in a month": (
        "shutdown -h +1440",
        "shutdown -h +43200",
        "kill-time",
        "InstanceInitiatedShutdownBehavior",
    ),
    "Ray's role of all rights": (
        "      IamInstanceProfile: {Name: famus-ray-head}\n",
        "",
        "role",
        "    node_config",
    ),
    "no token": ("  ~/.ray/auth_token: ~/.ray/auth_token\n", "", "token", "file_mounts"),
    "another version": ("==2.60.0", "==2.48.0", "version", "==2.48.0"),
    "a head that may be taken away": (
        "InstanceType: m7i.xlarge",
        "InstanceType: m7i.xlarge\n      InstanceMarketOptions: {MarketType: spot}",
        "head-on-spot",
        "    node_config",
    ),
    "a secret": (
        "ray stop\n  - ulimit -n 65536; ray start --head",
        "ray stop\n  - export AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMIK7MDENG; ray start --head",
        "secret",
        "wJalr",
    ),
    "a comment in a command": ("test -d ~/env ||", "test -d '~/env #' ||", "shell", "test -d"),
    "an open port of one's own": (
        "  region: us-west-2\n",
        "  region: us-west-2\n  security_group:\n    IpPermissions:\n      - {FromPort: 8265, "
        "ToPort: 8265, IpProtocol: tcp, IpRanges: [{CidrIp: 203.0.113.0/24}]}\n",
        "open-port",
        "8265",
    ),
    "ssh from everywhere": (
        "  region: us-west-2\n",
        "  region: us-west-2\n  security_group:\n    IpPermissions:\n      - {FromPort: 22, ToPort:"
        " 22, IpProtocol: tcp, IpRanges: [{CidrIp: 0.0.0.0/0}]}\n",
        "ssh-range",
        "0.0.0.0/0",
    ),
    "stopped machines": (
        "cache_stopped_nodes: false",
        "cache_stopped_nodes: true",
        "stopped-nodes",
        "cache_",
    ),
    "a zone elsewhere": (
        "region: us-west-2",
        "region: us-west-2\n  availability_zone: us-east-1a",
        "region",
        "us-east-1a",
    ),
}
GCP = {
    "a misspelt key of the machine": ("machineType: e2", "machinType: e2", "gcp", "machinType"),
    "a misspelt value of the machine": ("SPOT\n", "SPOTT\n", "gcp", "SPOTT"),
    "no such machine type": ("g2-standard-8", "g2-standrd-8", "machine-type", "g2-standrd-8"),
    "no GPU promised": ("{CPU: 8, GPU: 1}", "{CPU: 8}", "resources", "{CPU: 8}"),
    "the default network": (
        "      networkInterfaces: *network\n",
        "",
        "own-network",
        "    node_config",
    ),
    "no time of death": (
        "        instanceTerminationAction: DELETE\n",
        "",
        "kill-time",
        "scheduling",
    ),
    "a time of death in a month": (
        'seconds: "86400"',
        'seconds: "2592000"',
        "kill-time",
        "scheduling",
    ),
    "a public dashboard": ("host=127.0.0.1", "host=10.0.0.4", "dashboard", "host=10.0.0.4"),
    "no idle timeout": (
        "idle_timeout_minutes: 5",
        "idle_timeout_minutes: 0",
        "idle-timeout",
        "minutes: 0",
    ),
    "a disk that stays": (
        "autoDelete: true",
        "autoDelete: false",
        "disk-left",
        "autoDelete: false",
    ),
    "a zone elsewhere": ("us-central1-a", "us-east1-b", "region", "us-east1-b"),
    "no image": (
        ", sourceImage: *image}\n      networkInterfaces",
        "}\n      networkInterfaces",
        "image",
        'diskSizeGb: "100"}',
    ),
    "no token": ("  ~/.ray/auth_token: ~/.ray/auth_token\n", "", "token", "file_mounts"),
}
AZURE = {
    "a misspelt parameter": ("evictionPolicy", "evictionPolcy", "azure", "evictionPolcy"),
    "a misspelt value": ("priority: Spot", "priority: Spott", "azure", "Spott"),
    "a misspelt key of the provider": (
        "resource_group:",
        "resourcegroup:",
        "azure",
        "resourcegroup",
    ),
    "no such machine type": (
        "Standard_NC8as_T4_v3",
        "Standard-NC8as-T4",
        "machine-type",
        "Standard-NC8as",
    ),
    "too many GPUs promised": ("GPU: 1", "GPU: 2", "resources", "GPU: 2"),
    "public addresses": (
        "use_internal_ips: true",
        "use_internal_ips: false",
        "ssh-range",
        "use_internal",
    ),
    "a public dashboard": ("host=127.0.0.1", "host=0.0.0.0", "dashboard", "host=0.0.0.0"),
    "no idle timeout": ("idle_timeout_minutes: 5\n", "", "idle-timeout", "cluster_name"),
    "no most workers": ("max_workers: 4\nup", "up", "max-workers", "cluster_name"),
    "no image": ("    imageOffer: ubuntu-hpc\n", "", "image", "      azure_arm_parameters"),
    "the token switched off": (
        "RAY_AUTH_MODE=token",
        "RAY_AUTH_MODE=disabled",
        "token",
        "disabled",
    ),
    "a text for a number": ("osDiskSize: 150", "osDiskSize: 150GB", "azure", "150GB"),
}
JOB = {
    "a misspelt key": (
        "ttlSecondsAfterFinished",
        "ttlSecondsAfterFinish",
        "kuberay",
        "ttlSecondsAfterFinish:",
    ),
    "a misspelt key of the pod": (
        "automountServiceAccountToken",
        "automountServiceToken",
        "kuberay",
        "automountServiceToken",
    ),
    "a value of another kind": ("backoffLimit: 3", 'backoffLimit: "3"', "kuberay", "backoffLimit"),
    "no such mode": ("{mode: token}", "{mode: tokens}", "kuberay", "tokens"),
    "no token": ("    authOptions: {mode: token}\n", "", "token", "  rayClusterSpec"),
    "a cluster that stays": (
        "  shutdownAfterJobFinishes: true",
        "  shutdownAfterJobFinishes: false",
        "ttl",
        "shutdownAfter",
    ),
    "no second attempt": ("  backoffLimit: 3 ", "  backoffLimit: 0 ", "backoff", "backoffLimit"),
    "a second attempt that refuses": (" --or-resume", "", "resume", "entrypoint"),
    "root": (
        "runAsNonRoot: true\n            runAsUser",
        "runAsNonRoot: false\n            runAsUser",
        "non-root",
        "runAsNonRoot: false",
    ),
    "any image": (
        "image: famus-ray:0.1.0\n              securityContext: &",
        "image: famus-ray\n              securityContext: &",
        "image",
        "image: famus-ray\n",
    ),
    "an open dashboard": (
        "serviceType: ClusterIP",
        "serviceType: LoadBalancer",
        "open-port",
        "LoadBalancer",
    ),
    "no idle timeout": (
        "      idleTimeoutSeconds: 300\n",
        "",
        "idle-timeout",
        "    autoscalerOptions",
    ),
    "fewer than least": ("maxReplicas: 4", "maxReplicas: -1", "replicas", "maxReplicas"),
    "another version": ('"2.60.0"', '"2.48.0"', "version", "2.48.0"),
    "a GPU without toleration": (
        '                  limits: {cpu: "4"',
        '                  limits: {nvidia.com/gpu: 1, cpu: "4"',
        "gpu-toleration",
        "nvidia.com/gpu",
    ),
    "growth in a queue": (
        "  name: famus\n",
        "  name: famus\n  labels: {kueue.x-k8s.io/queue-name: q}\n",
        "queue",
        "enableInTreeAutoscaling",
    ),
    "a secret": (
        "image: famus-ray:0.1.0\n",
        "image: famus-ray:0.1.0\n          env: [{name: WANDB_API_KEY, value: 0123456789abcdef}]\n",
        "secret",
        "WANDB_API_KEY",
    ),
    "no such volume": (
        "mountPath: /runs}",
        "mountPath: /runs}\n                - {name: data, mountPath: /data}",
        "volume",
        "/data",
    ),
    "the machine's files": (
        "persistentVolumeClaim: {claimName: famus-runs}}",
        "hostPath: {path: /}}",
        "host",
        "hostPath",
    ),
    "no time of death": (
        "  activeDeadlineSeconds: 86400",
        "  # activeDeadlineSeconds: 86400",
        "kill-time",
        "spec:",
    ),
}
SKYPILOT = {
    "a misspelt key": ("num_nodes", "num_node", "skypilot", "num_node:"),
    "a misspelt key of the machine": ("use_spot", "use_spots", "skypilot", "use_spots"),
    "no such GPU": ("accelerators: L4:1", "accelerators: L40X:1", "machine-type", "L40X"),
    "no number of GPUs": ("L4:1", "L4:one", "machine-type", "L4:one"),
    "a value of another kind": ("num_nodes: 2", "num_nodes: two", "skypilot", "num_nodes"),
    "no end": (
        "  autostop: {idle_minutes: 10, down: true}  # ended, not stopped\n",
        "",
        "idle-timeout",
        "resources:",
    ),
    "stopped machines": ("down: true", "down: false", "stopped-nodes", "autostop"),
    "an open port": (
        "  disk_size: 150\n",
        "  disk_size: 150\n  ports: [22, 8000-9000]\n",
        "open-port",
        "8000",
    ),
    "SkyPilot's own port": ("--port=6385", "--port=6380", "ports", "--port=6380"),
    "a public dashboard": ("host=127.0.0.1", "host=0.0.0.0", "dashboard", "host=0.0.0.0"),
    "SkyPilot's own Ray": ("  kill $ray\n", "  ray stop\n", "ray-stop", "  ray stop\n"),
    "no token": ("  RAY_AUTH_TOKEN: null", "  NOTHING: null", "token", "run: |"),
    "a token in the file": (
        "RAY_AUTH_TOKEN: null",
        "RAY_AUTH_TOKEN: 0123456789abcdef",
        "secret",
        "RAY_AUTH_TOKEN: 0",
    ),
    "another version": ("==2.60.0", ">=2.9", "version", "setup:"),
}
SCRIPT = """\
#!/bin/bash
#SBATCH --job-name=famus
#SBATCH --nodes=2
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --output=famus-%j.out
set -euo pipefail
export RAY_AUTH_MODE=token
ray start --head --port=0 --dashboard-host=127.0.0.1 --temp-dir=/tmp/ray-$SLURM_JOB_ID --block &
srun -N1 famus-ray tune famus --name study --or-resume
"""
SLURM = {
    "a misspelt option": ("--nodes", "--node", "option", "--node="),
    "no limit of time": ("#SBATCH --time=08:00:00\n", "", "time-limit", "#!/bin/bash"),
    "a limit that is none": ("08:00:00", "forever", "time-limit", "forever"),
    "no second attempt": ("#SBATCH --requeue\n", "", "requeue", "#!/bin/bash"),
    "one file for all jobs": ("famus-%j.out", "famus.out", "output", "famus.out"),
    "an option below the commands": (
        "set -euo pipefail\n",
        "set -euo pipefail\n#SBATCH --mem=8G\n",
        "option-unread",
        "--mem=8G",
    ),
    "a fixed port": ("--port=0", "--port=6379", "ports", "6379"),
    "a public dashboard": ("host=127.0.0.1", "host=0.0.0.0", "dashboard", "host=0.0.0.0"),
    "one folder for all jobs": ("/tmp/ray-$SLURM_JOB_ID", "/tmp/ray", "temp-dir", "/tmp/ray "),
    "no token": ("export RAY_AUTH_MODE=token\n", "", "token", "ray start"),
    "other jobs ended": ("srun -N1 famus", "ray stop\nsrun -N1 famus", "ray-stop", "ray stop"),
    "a secret": (
        "export RAY",
        "export WANDB_API_KEY=0123456789abcdef\nexport RAY",
        "secret",
        "WANDB",
    ),
    "errors ignored": ("set -euo pipefail\n", "", "exit-code", "#!/bin/bash"),
    "symmetric-run": (
        "srun -N1 famus-ray",
        "ray symmetric-run -- famus-ray",
        "symmetric-run",
        "symmetric",
    ),
}


UNCHANGED: dict[str, set[tuple[str, str]]] = {}  # the problems of a file as it is shipped


def mistakes():
    """Each mistake with the file that it is made in."""
    for name, table in (
        ("aws/gpu-spot.yaml", AWS),
        ("gcp/gpu.yaml", GCP),
        ("azure/gpu.yaml", AZURE),
        ("kubernetes/base/rayjob.yaml", JOB),
        ("skypilot/famus.sky.yaml", SKYPILOT),
        ("slurm", SLURM),
    ):
        for what, mistake in table.items():
            yield pytest.param(name, *mistake, id=f"{Path(name).parts[0]}: {what}")


def test_there_are_ten_mistakes_a_kind():
    assert min(map(len, (AWS, GCP, AZURE, JOB, SKYPILOT, SLURM))) >= 10


@pytest.mark.parametrize(("name", "old", "new", "rule", "where"), list(mistakes()))
def test_the_mistake_is_found_at_its_line(
    tmp_path: Path, name: str, old: str, new: str, rule: str, where: str
):
    packages = {"aws": "botocore", "gcp": "googleapiclient"}
    if rule in packages and importlib.util.find_spec(packages[rule]) is None:
        pytest.skip(f"needs {packages[rule]}, of the extra `cluster`")
    if name == "slurm":
        path, text = tmp_path / "famus.sbatch", SCRIPT
    else:
        shutil.copytree((FILES / name).parent, tmp_path / "files")
        path = tmp_path / "files" / Path(name).name
        text = path.read_text(encoding="utf-8")
    if name not in UNCHANGED:
        UNCHANGED[name] = {(problem.rule, problem.what) for problem in found(path, text)}
    changed = text.replace(old, new, 1)
    assert changed != text
    problems = [p for p in found(path, changed) if (p.rule, p.what) not in UNCHANGED[name]]
    line = changed[: changed.index(where)].count("\n") + 1 + (where[0] == "\n")
    assert (rule, line) in {(problem.rule, problem.line) for problem in problems}, problems
    for problem in problems:
        assert problem.mend
        assert str(problem).startswith(f"{path}:{problem.line}: ")


def found(path: Path, text: str):
    path.write_text(text, encoding="utf-8")
    return check_file(path)


def test_all_mistakes_are_told_at_once(tmp_path: Path):
    text = (FILES / "aws/gpu-spot.yaml").read_text(encoding="utf-8")
    for old, new, rule, _ in AWS.values():
        if rule in ("imdsv2", "dashboard", "version", "encrypted-disk", "stopped-nodes"):
            text = text.replace(old, new, 1)
    rules = [problem.rule for problem in found(tmp_path / "all.yaml", text)]
    assert {"imdsv2", "dashboard", "version", "encrypted-disk", "stopped-nodes"} <= set(rules)


def test_a_secret_is_not_shown_again(tmp_path: Path):
    old, new, _, _ = SKYPILOT["a token in the file"]
    text = (FILES / "skypilot/famus.sky.yaml").read_text(encoding="utf-8").replace(old, new)
    told = "\n".join(map(str, found(tmp_path / "sky.yaml", text)))
    assert "RAY_AUTH_TOKEN" in told
    assert "0123456789abcdef" not in told


def test_a_bare_file_of_rays_documentation_has_its_dangers_told(tmp_path: Path):
    """What Ray fills in for what is left out: a public dashboard, a role of all rights, ..."""
    text = """\
cluster_name: mine
provider: {type: aws, region: us-west-2}
available_node_types:
  head: {node_config: {InstanceType: m7i.xlarge}, resources: {}}
head_node_type: head
"""
    rules = {problem.rule for problem in found(tmp_path / "bare.yaml", text)}
    wanted = "default-commands token security-group role image imdsv2 encrypted-disk idle-timeout"
    assert {*wanted.split(), "kill-time", "max-workers", "stopped-nodes"} <= rules


JUNK = (None, [], {}, 7, "x", [1], {"a": 1}, True, [{}], 1.5)


@pytest.mark.parametrize(
    "name",
    [
        "aws/single-node.yaml",
        "gcp/gpu.yaml",
        "azure/gpu.yaml",
        "kubernetes/base/rayjob.yaml",
        "kubernetes/base/network.yaml",
        "skypilot/famus.sky.yaml",
    ],
)
def test_a_value_of_any_kind_in_any_place_is_judged_not_a_crash(tmp_path: Path, name: str):
    random = Random(name)
    for _ in range(12):
        (marked,) = read(FILES / name).documents
        address = random.choice(sorted(filter(None, marked.lines), key=str))
        place = marked.at(address[:-1])
        place[address[-1]] = random.choice(JUNK)
        path = tmp_path / Path(name).name
        path.write_text(yaml.safe_dump(marked.content), encoding="utf-8")
        with contextlib.suppress(UserError):
            check_file(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\n", "no cluster file"),
        ("AWSTemplateFormatVersion: x\n", "CloudFormation"),
        ("# nothing\n", "is empty"),
        ("- 1\n", "no cluster file"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, text: str, message: str):
    with pytest.raises(UserError, match=message):
        found(tmp_path / "file.yaml", text)


def test_what_was_not_checked_is_said(monkeypatch: pytest.MonkeyPatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "botocore" else find(name)
    )
    (note,) = left_out(FILES / "aws/gpu-spot.yaml")
    assert "famus-ray[train,cluster]" in note
    assert left_out(FILES / "skypilot/famus.sky.yaml") == []
