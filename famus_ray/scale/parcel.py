"""What Ray's processes need to find the user's own parts: folders of modules, and objects."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from famus_ray.config.import_path import imported
from famus_ray.config.schema import Config
from famus_ray.errors import UserError, first_line
from famus_ray.handed import hold, lives_here

__all__ = ["Parcel", "parcel", "settings_of"]


@dataclass(frozen=True)
class Parcel:
    """Of the process that the user started, for the processes that Ray starts.

    Attributes:
        places: where it finds modules (`sys.path`), absolute; its working directory is the last.
        objects: what lives in that process only, by import path; serialised.
        networks: functions that a script registered with timm, by name; serialised.
    """

    places: tuple[str, ...]
    objects: bytes
    networks: bytes

    def unpack(self) -> None:
        """Makes the modules and objects known in this process."""
        import ray.cloudpickle

        sys.path += [place for place in self.places if place not in sys.path]
        for path, found in ray.cloudpickle.loads(self.objects).items():
            module, _, name = path.partition(":")
            if module == "__main__":
                setattr(sys.modules["__main__"], name, found)
            else:
                hold(name, found)
        for name, create in ray.cloudpickle.loads(self.networks).items():
            import timm

            if not timm.is_model(name.removeprefix("timm/")):
                timm.models.register_model(create)


def parcel(values: Iterable[Any]) -> Parcel:
    """What Ray's processes need for these values of settings.

    Raises:
        UserError: an object that cannot be serialised.
    """
    named = [value for value in values if isinstance(value, str)]
    networks = {name: found for name in named if (found := _registered(name)) is not None}
    places = [str(Path(place).absolute()) for place in (*sys.path, "")]
    return Parcel(
        tuple(dict.fromkeys(places)),
        _serialised({path: imported(path) for path in named if lives_here(path)}),
        _serialised(networks),
    )


def _serialised(objects: Mapping[str, Any]) -> bytes:
    import ray.cloudpickle

    for name, found in objects.items():
        try:
            ray.cloudpickle.dumps(found)
        except Exception as error:  # objects raise errors of many types
            raise UserError(
                f"{name}: cannot be sent to the processes of Ray ({first_line(error)}); put it "
                "into a file and name it by its import path, such as mine.nets:small"
            ) from error
    content: bytes = ray.cloudpickle.dumps(dict(objects))
    return content


def _registered(name: str) -> Any:
    """The function that a script registered with timm under this name; None of timm's own."""
    timm = sys.modules.get("timm")
    plain = name.removeprefix("timm/")
    if timm is None or not timm.is_model(plain):
        return None
    found = timm.model_entrypoint(plain)
    return None if found.__module__.split(".")[0] == "timm" else found


def settings_of(config: Config | Mapping[str, Any]) -> list[Any]:
    """The values of all settings of a config, or of its dump by section and key."""
    nested = config.model_dump() if isinstance(config, Config) else config
    return [value for section in nested.values() for value in section.values()]
