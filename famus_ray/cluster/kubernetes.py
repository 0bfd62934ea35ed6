"""Kubernetes with KubeRay: a RayJob, or a RayCluster that stays, by kubectl."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from famus_ray.cluster.arguments import job_arguments
from famus_ray.cluster.checks import check_file
from famus_ray.cluster.extent import Extent
from famus_ray.cluster.manifests import extent_of_manifests
from famus_ray.cluster.problem import Problem
from famus_ray.cluster.provider import Command, Job
from famus_ray.cluster.ray_launcher import EXIT_CODE, ask_for_exit_code, run_as_job
from famus_ray.errors import UserError

__all__ = ["Kubernetes"]

_OURS = "app.kubernetes.io/part-of=famus-ray"
_PODS_EXIT_CODE = "{.items[*].status.containerStatuses[*].state.terminated.exitCode}"


class Kubernetes:
    """Manifests of Kubernetes, a file or a folder with kustomization.yaml; see `Provider`."""

    kind = "Kubernetes"
    own_files = (
        "they are not sent along: COPY them into the image, below its working directory, or put "
        "them onto the volume and name them by their paths there"
    )
    programs: Mapping[str, str] = {"kubectl": "kubernetes.io/docs/tasks/tools"}

    def check(self, path: Path) -> list[Problem]:
        return check_file(path)

    def extent(self, path: Path) -> Extent:
        return extent_of_manifests(_documents(path))

    def up(self, path: Path) -> list[Command]:
        apply = Command(("kubectl", "apply", *_named(path)), "make it so")
        if _the(path, "RayCluster") is None:
            return [apply]
        ready = ("kubectl", "wait", "raycluster", f"--selector={_OURS}", "--timeout=900s")
        state = ("--for=jsonpath={.status.state}=ready",)
        return [apply, Command((*ready, *state), "wait until its machines have joined")]

    def status(self, path: Path) -> list[Command]:
        what = {
            ("rayjobs,rayclusters,pods,pvc", f"--selector={_OURS}"): "jobs, machines and disks",
            ("events", "--field-selector=type=Warning"): "what they wait for",
        }
        return [Command(("kubectl", "get", *argv), why) for argv, why in what.items()]

    def submit(self, path: Path, job: Job) -> list[Command]:
        if (cluster := _the(path, "RayCluster")) is not None:
            words = job_arguments(job.arguments, "auto", _runs(cluster["spec"]), machines=2)
            on_head = _on_head(cluster)
            return [
                Command((*on_head, *run_as_job(job, words)), "follow its log", may_fail=True),
                Command(
                    (*on_head, *ask_for_exit_code(job)),
                    "ask for its exit code",
                    exit_code_in=EXIT_CODE,
                ),
            ]
        documents = _documents(path)
        manifest = next((one for one in documents if one["kind"] == "RayJob"), None)
        if manifest is None:
            raise UserError(f"{path}: has neither a RayJob nor a RayCluster to run a command on")
        runs = _runs(manifest["spec"]["rayClusterSpec"])
        words = job_arguments(job.arguments, "auto", runs, machines=2)
        manifest["metadata"]["name"] = job.name
        manifest["spec"]["entrypoint"] = shlex.join(("famus-ray", *words))
        text = yaml.safe_dump_all(documents, sort_keys=False)
        pods = ("kubectl", "get", "pods", f"--selector=job-name={job.name}")
        created = ("kubectl", "wait", "--for=create", f"job/{job.name}", "--timeout=1800s")
        started = ("kubectl", "wait", "--for=condition=Ready", "pod", "--timeout=600s")
        return [
            Command(("kubectl", "apply", "-f", "-"), "start a RayJob of its own", stdin=text),
            Command(created, "wait for its machines"),
            Command((*started, f"--selector=job-name={job.name}"), "wait for the job"),
            Command(("kubectl", "logs", "-f", f"job/{job.name}"), "follow its log", may_fail=True),
            Command(
                (*pods, "-o", f"jsonpath={_PODS_EXIT_CODE}"),
                "ask for its exit code",
                exit_code_in=r"(\d+)\s*$",
            ),
        ]

    def fetch(self, path: Path, name: str, to: Path) -> list[Command]:
        cluster = _the(path, "RayCluster")
        if cluster is None:
            raise UserError(
                f"{path}: the machines of a RayJob end with it, the runs stay in its volume; "
                "start a RayCluster with the same volume, such as overlays/standing, and fetch "
                "from there"
            )
        runs, archive = _runs(cluster["spec"]), to / f"{name}.tar"
        pack = (*_on_head(cluster), "tar", "-cf", "-", "-C", str(runs), name)
        unpack = ("tar", "-xf", str(archive), "-C", str(to))
        return [
            Command(pack, "pack the run folder", to=archive),
            Command(unpack, f"unpack it in {to}/"),
            Command(("rm", str(archive)), "the archive is no longer needed"),
        ]

    def down(self, path: Path) -> list[Command]:
        argv = ("kubectl", "delete", "rayjobs,rayclusters", f"--selector={_OURS}")
        return [Command(argv, "end jobs and machines; volumes stay")]

    def left(self, path: Path) -> list[Command]:
        what = {
            "rayjobs,rayclusters,pods": "jobs and machines; `down` ends them",
            "pvc": "volumes with the runs; fetch them, then kubectl delete pvc ends them",
        }
        get = ("kubectl", "get", f"--selector={_OURS}", "--output=name")
        return [Command((*get, kinds), "what is there", left=left) for kinds, left in what.items()]

    def afterwards(self, path: Path) -> list[str]:
        return [
            "Still billed: the volumes with the runs, and nodes until the cluster's own "
            "autoscaler removes them. kubectl get pvc,nodes lists both; "
            f"kubectl delete pvc --selector={_OURS} ends the volumes, and the runs with them."
        ]

    def going_on(self, path: Path, job: Job) -> str:
        if (cluster := _the(path, "RayCluster")) is not None:
            argv = (*_on_head(cluster), "ray", "job", "logs", "--follow", job.name)
        else:
            argv = ("kubectl", "logs", "-f", f"job/{job.name}")
        return f"the job goes on; see it with: {shlex.join(argv)}"


def _named(path: Path) -> tuple[str, str]:
    return ("-k" if path.is_dir() else "-f", str(path))


def _documents(path: Path) -> list[dict[str, Any]]:
    """The manifests of a file, or those that kustomize makes of a folder."""
    if not path.is_dir():
        text = path.read_text(encoding="utf-8")
    elif (program := shutil.which("kubectl")) is None:
        raise UserError(f"{path}: kubectl puts a folder's manifests together; install it first")
    else:
        done = subprocess.run(  # noqa: S603
            [program, "kustomize", str(path)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise UserError(f"{path}: {done.stderr.strip()}")
        text = done.stdout
    return [document for document in yaml.safe_load_all(text) if document]


def _the(path: Path, kind: str) -> dict[str, Any] | None:
    return next((one for one in _documents(path) if one.get("kind") == kind), None)


def _runs(spec: Mapping[str, Any]) -> str | None:
    """Where the volume `runs` is mounted on the head."""
    containers = spec["headGroupSpec"]["template"]["spec"]["containers"]
    mounts = [mount for one in containers for mount in one.get("volumeMounts", ())]
    return next((str(mount["mountPath"]) for mount in mounts if mount["name"] == "runs"), None)


def _on_head(cluster: Mapping[str, Any]) -> tuple[str, ...]:
    service = f"svc/{cluster['metadata']['name']}-head-svc"
    return ("kubectl", "exec", service, "-c", "ray-head", "--")
