"""Early stop of a study: the machine is at fault, or all trials fail for the same reason."""

from __future__ import annotations

import errno
import re
from collections import Counter

from famus_ray.errors import last_line
from famus_ray.store import StoreAway

__all__ = ["Failures", "machine_fault"]

_ALIKE = 3  # failures in a row, for the same reason

_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EPERM}
# Errors of torch's writer have no errno.
_WRITING = re.compile(r"PytorchStreamWriter failed|inline_container|iostream error|No space left")


def machine_fault(error: BaseException) -> str | None:
    """A fault of the machine as one line; None if the training is at fault.

    Faults are a full disk or quota, a file-size limit, missing permissions, and an object store
    that does not answer.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, StoreAway) or (isinstance(seen, OSError) and seen.errno in _FAULTS):
            return str(seen)
        if isinstance(seen, RuntimeError) and _WRITING.search(str(seen)):
            return (
                f"a checkpoint cannot be written; is the disk full? ({str(seen).splitlines()[0]})"
            )
        seen = seen.__cause__ or seen.__context__
    return None


class Failures:
    """How the trials of one command ended, and why the study should stop early.

    Attributes:
        ended: number of trials by state.
        why: reason for an early stop; None if there is none.
    """

    def __init__(self) -> None:
        self._alike = 0
        self._last = self._error = ""
        self._is_fault = False
        self.ended: Counter[str] = Counter()
        self.why: str | None = None

    def why_not_done(self) -> str | None:
        """Why the command failed, with `{resume}` in place of the command that resumes the study;
        None if it did not fail."""
        again = "mend that, and `{resume}` tries again"
        if self.why and self._is_fault:
            return f"{_plain(self.why)}; {again}"
        if self.why:
            return f"{_plain(self.why)}; {again} with --retry-failed"
        if set(self.ended) == {"failed"}:
            count = self.ended["failed"]
            which = "the only trial" if count == 1 else f"all {count} trials"
            said = f"{which} that ran failed, the last with {self._error}"
            return f"{_plain(said)}; {again} with --retry-failed"
        return None

    def trial_ended(self, trial_id: str, state: str, error: str | None, *, fault: bool) -> None:
        """Records the end of a trial.

        Args:
            trial_id: name of its folder.
            state: completed, pruned or failed.
            error: of a failed trial.
            fault: whether the machine is at fault.
        """
        self.ended[state] += 1
        if state != "failed":
            self._alike = 0
            return
        last = last_line(error)
        kind = re.sub(r"[-+]?\d[\d.e+-]*", "#", last)  # numbers differ from trial to trial
        self._alike = self._alike + 1 if kind == self._last else 1
        self._last, self._error = kind, last
        if fault:
            self._is_fault = True
            self.why = f"stopped at trial {trial_id}, where the machine is at fault: {last}"
        elif self._alike >= _ALIKE and self.why is None:
            self.why = f"stopped: {self._alike} trials in a row failed alike, the last with {last}"


def _plain(text: str) -> str:
    """The text with escaped braces, for `str.format`."""
    return text.replace("{", "{{").replace("}", "}}")
