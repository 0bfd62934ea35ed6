"""The usual ranges of settings that can make training diverge, for the message on divergence."""

from __future__ import annotations

from famus_ray.config.schema import Config

__all__ = ["USUAL", "what_may_help"]

# Wider than in any published recipe that we know; within them a setting seldom causes divergence.
USUAL: dict[str, tuple[float, float]] = {
    "data.imbalance": (1, 1000),
    "model.logit_scale": (1, 100),
    "loss.margin": (0, 2),
    "method.mixup_alpha": (0.05, 64),
    "method.partner_temperature": (0.01, 100),
    "method.graph_temperature": (0.01, 100),
    "meta.lr": (0, 0.1),
    "meta.matrix_lr": (0, 10),
    "meta.weight_decay": (0, 0.1),
    "meta.lookahead_lr": (0, 1),
    "meta.gate_lr": (0, 10),
    "meta.temperature": (0.1, 100),
    "meta.lambda1": (0, 100),
    "meta.lambda2": (0, 100),
    "optimiser.lr": (0, 1),
    "optimiser.momentum": (0, 0.99),
    "optimiser.weight_decay": (0, 0.1),
    "optimiser.clip_norm": (0, 1000),
    "pipeline.temperature": (0.05, 10),
    "pipeline.alpha": (0.05, 64),
    "pipeline.lambda_u": (0, 1000),
    "pipeline.prior_penalty": (0, 100),
}


def what_may_help(config: Config) -> str:
    """Advice after a loss that is not finite: the settings outside their usual range.

    If there are none, it suggests lower learning rates.
    """
    odd = []
    for key, (low, high) in USUAL.items():
        section, _, name = key.partition(".")
        value = getattr(getattr(config, section), name)
        if value is not None and not low <= value <= high:
            odd.append(f"{key} = {value:g} (usually {low:g} to {high:g})")
    if odd:
        return f"out of the ordinary here: {', '.join(odd)}"
    in_half = ", or run.precision=float32," if config.run.precision == "bfloat16" else ""
    return f"a lower optimiser.lr or meta.lr{in_half} may help"
