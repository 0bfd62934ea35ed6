"""The differences of FaMUS's released code from the paper."""

from __future__ import annotations

from dataclasses import dataclass

from famus_ray.choices import Fidelity

__all__ = ["PAPER", "RELEASED", "Variations", "variations_of"]


@dataclass(frozen=True)
class Variations:
    """Differences from the paper; the default is the paper.

    Attributes:
        last_gate_alone: L_r counts the last learned gate only (Eq. 10 counts all).
        closed_gates_turn: the gradient of a closed gate has the opposite sign.
        standardised_input: a gate's input is standardised sums; in the paper it is means.
        deep_gates: a gate's network has three layers, the paper's two.
        last_layer_open: the last layer's gates are always open.
        gates_nesterov: the gates' SGD has Nesterov momentum.
        match_spread: L_g compares the standard deviation of the gradients as well as the mean.
        one_balance: in the pipeline, weights sum to 1 over labelled and unlabelled examples
            together, not to 1/2 over each.
        prior_in_meta_loss: in the pipeline, the prior's divergence joins the meta loss.
    """

    last_gate_alone: bool = False
    closed_gates_turn: bool = False
    standardised_input: bool = False
    deep_gates: bool = False
    last_layer_open: bool = False
    gates_nesterov: bool = False
    match_spread: bool = False
    one_balance: bool = False
    prior_in_meta_loss: bool = False


PAPER = Variations()
RELEASED = Variations(
    last_gate_alone=True,
    closed_gates_turn=True,
    standardised_input=True,
    deep_gates=True,
    last_layer_open=True,
    gates_nesterov=True,
    match_spread=True,
    one_balance=True,
    prior_in_meta_loss=True,
)


def variations_of(fidelity: Fidelity) -> Variations:
    """The variations of `meta.fidelity`: the released code's, or none for the paper."""
    return RELEASED if fidelity == "released" else PAPER
