"""The arguments of a famus-ray command on a cluster: the address, and a folder that all see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from famus_ray.errors import UserError

__all__ = ["job_arguments", "named", "without_program"]

_WITH_SETTINGS = ("train", "tune", "resume")
_NEW = ("train", "tune")


def job_arguments(
    arguments: Sequence[str],
    address: str,
    runs: str | None,
    *,
    machines: int = 1,
    grows: bool = False,
) -> list[str]:
    """The words after `famus-ray` on a cluster, with the settings that it needs.

    Args:
        arguments: as the user typed them; a leading `famus-ray` may be there.
        address: for `scale.address`, unless the user gave it.
        runs: for `run.root`, unless the user gave it; None if the file names no folder.
        machines: the most machines of the cluster.
        grows: whether it adds machines when trials wait for them.

    Raises:
        UserError: no command, or several machines and no folder that all of them see.
    """
    words, added = without_program(arguments), []
    if words[0] == "check" and "--cluster" in words:
        return [*words, *_options_of_check(words, address, runs)]
    if words[0] in _NEW and not _has(words, "run.root"):
        if runs is not None:
            added.append(f"run.root={runs}")
        elif machines > 1:
            raise UserError(
                f"the cluster has up to {machines} machines, and the file does not say which "
                "folder all of them see: add run.root=FOLDER, or metadata.runs to the file"
            )
    if words[0] in _WITH_SETTINGS and not _has(words, "scale.address"):
        added.append(f"scale.address={address}")
    if grows and words[0] in _WITH_SETTINGS and not _has(words, "scale.autoscaling"):
        added.append("scale.autoscaling=true")
    return [*words, *added]


def _options_of_check(words: Sequence[str], address: str, runs: str | None) -> Iterator[str]:
    """What `check --cluster` needs and the user did not give."""
    for option, value in (("--address", address), ("--root", runs)):
        if value is not None and not any(word.split("=")[0] == option for word in words):
            yield from (option, value)


def _has(words: Sequence[str], key: str) -> bool:
    return any(word.startswith(f"{key}=") for word in words)


def without_program(arguments: Sequence[str]) -> list[str]:
    """The words after `famus-ray`, which may be there or not.

    Raises:
        UserError: there are none.
    """
    words = [*arguments]
    if words and words[0].rpartition("/")[2] == "famus-ray":
        words = words[1:]
    if not words:
        raise UserError("no command for the cluster; write it after --, such as: -- tune famus")
    return words


def named(words: Sequence[str]) -> bool:
    """Whether the words of a command name the run."""
    return any(word == "--name" or word.startswith(("--name=", "run.name=")) for word in words)
