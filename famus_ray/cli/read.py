"""The command `report`."""

from __future__ import annotations

import json

from famus_ray.cli.options import AsJson, Name, check_writable

__all__ = ["report"]


def report(name: Name, as_json: AsJson = False) -> None:
    """Write report.html for a run or study: one file that works offline."""
    from famus_ray.reading.report import write_report
    from famus_ray.records.folders import find_folder

    folder = find_folder(name)
    check_writable(folder, folder / "report.html")
    path = write_report(name)
    print(json.dumps({"report": str(path)}) if as_json else path)
