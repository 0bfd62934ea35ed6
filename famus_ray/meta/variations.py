"""Where the released code of FaMUS differs from the paper, in one object."""

from __future__ import annotations

from dataclasses import dataclass

from famus_ray.choices import Fidelity

__all__ = ["PAPER", "RELEASED", "Variations", "variations_of"]


@dataclass(frozen=True)
class Variations:
    """What is done otherwise than in the paper; without any argument, nothing.

    Attributes:
        last_gate_alone: L_r counts the last learned gate only (Eq. 10 counts all).
        closed_gates_turn: the gradient of a closed gate has the other sign.
        standardised_input: a gate sees sums that are standardised, where the paper's sees means.
        deep_gates: a gate's network has three layers, the paper's two.
        last_layer_open: the last layer's gates are always open.
        gates_nesterov: the gates' SGD has Nesterov momentum.
        match_spread: L_g matches the spread of the gradients, too, not their direction alone.
        one_balance: in the pipeline, weights sum to one over labelled and unlabelled examples
            together, not to a half over each.
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
    """Those of `meta.fidelity`: none, or the released code's."""
    return RELEASED if fidelity == "released" else PAPER
