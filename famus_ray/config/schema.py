"""The settings of a run: strict, frozen and documented. A function takes the section it needs."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from pydantic import BaseModel

from famus_ray.config.data_settings import DataConfig, ModelConfig, NoiseConfig
from famus_ray.config.method_settings import (
    DivisionConfig,
    LossConfig,
    MetaConfig,
    MethodConfig,
    OptimiserConfig,
    PipelineConfig,
    ScheduleConfig,
)
from famus_ray.config.run_settings import RunConfig, ScaleConfig, StudyConfig
from famus_ray.config.section import Section

__all__ = [
    "MAIN_FIELD",
    "SHORT_NAMES",
    "Config",
    "DataConfig",
    "DivisionConfig",
    "LossConfig",
    "MetaConfig",
    "MethodConfig",
    "ModelConfig",
    "NoiseConfig",
    "OptimiserConfig",
    "PipelineConfig",
    "RunConfig",
    "ScaleConfig",
    "ScheduleConfig",
    "StudyConfig",
    "field_names",
    "setting_value",
]


# The field that is meant if a section is given as a plain value: `method=famus`.
MAIN_FIELD = {
    "data": "name", "noise": "kind", "model": "name", "method": "name", "schedule": "kind",
    "loss": "kind",
}  # fmt: skip

# Short names of settings in other sections.
SHORT_NAMES = {"labels": "data.corrections"}


class Config(Section):
    """All settings of a run."""

    data: DataConfig = DataConfig()
    noise: NoiseConfig = NoiseConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    method: MethodConfig = MethodConfig()
    meta: MetaConfig = MetaConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    division: DivisionConfig = DivisionConfig()
    pipeline: PipelineConfig = PipelineConfig()
    run: RunConfig = RunConfig()
    scale: ScaleConfig = ScaleConfig()
    study: StudyConfig = StudyConfig()

    @property
    def has_two_networks(self) -> bool:
        """Whether two networks divide the training set for each other."""
        always = self.method.declaration.always_two_networks
        return always or self.meta.source == "pseudo_clean"

    @property
    def grace_epochs(self) -> int:
        """Epochs before a trial of a study can be pruned."""
        return self.study.grace_epochs or math.ceil(self.schedule.epochs / 3)

    @property
    def exploitations(self) -> int:
        """The number of times that pbt replaces the poorest quarter; 0 without pbt."""
        is_pbt = self.study.scheduler == "pbt"
        return (self.schedule.epochs - 1) // self.study.exploit_every if is_pbt else 0


@cache
def field_names() -> tuple[str, ...]:
    """The dotted keys of all settings, in the order of the schema."""
    names = []
    for section, field in Config.model_fields.items():
        assert isinstance(field.annotation, type)
        assert issubclass(field.annotation, BaseModel)
        names += [f"{section}.{name}" for name in field.annotation.model_fields]
    return tuple(names)


def setting_value(name: str, value: Any) -> Any:
    """The value of a setting after validation: the text "1" becomes 1 for a setting of numbers.

    Raises:
        pydantic.ValidationError: not a valid value of this setting.
    """
    section, _, key = name.partition(".")
    kind = Config.model_fields[section].annotation
    assert isinstance(kind, type)
    assert issubclass(kind, BaseModel)
    return getattr(kind.model_validate({key: value}), key)
