"""The settings of a run: strict, frozen, explained. A function takes the section it needs."""

from __future__ import annotations

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
]


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
        return self.method.name == "dividemix" or self.meta.source == "pseudo_clean"
