"""Which settings a method reads: what it does not read changes no number."""

import pytest
import torch

from famus_ray.config.methods import known_methods
from famus_ray.config.presets import space_names
from famus_ray.config.resolve import resolve
from famus_ray.config.schema import field_names
from famus_ray.data.catalog import load_dataset
from famus_ray.errors import UserError
from famus_ray.spaces.read_by import readers
from famus_ray.spaces.space import load_space
from famus_ray.training.loop import start

# Another value than the default for each setting that some method does not read.
OTHER = {
    "method.mixup_alpha": 0.3, "method.percentile": 0.2, "method.percentile_decay": 0.1,
    "method.partner_temperature": 3.0, "method.burn_in": 2, "method.second_weighting": False,
    "method.graph_temperature": 0.1, "meta.lr": 0.1, "meta.matrix_lr": 0.1,
    "meta.weight_decay": 0.1, "meta.hidden": 7, "meta.batch_size": 5, "meta.lookahead_lr": 0.7,
    "meta.engine": "double_backward", "meta.interval": 2, "meta.clean_share": 0.2,
    "meta.scope": "tail", "meta.grouping": "block", "meta.gated_from": "all",
    "meta.parallel": "local", "meta.sampler": "random", "meta.gate_lr": 3.0,
    "meta.gate_hidden": 5, "meta.temperature": 1.0, "meta.k": 1.0, "meta.lambda1": 3.0,
    "meta.lambda2": 3.0, "meta.fidelity": "released", "pipeline.warmup": 1,
    "pipeline.networks": "at_once", "pipeline.warmup_penalty": True, "pipeline.temperature": 0.1,
    "pipeline.alpha": 1.0, "pipeline.lambda_u": 1.0, "pipeline.rampup": 1,
    "pipeline.prior_penalty": 3.0, "division.p_threshold": 0.1, "division.meta_threshold": 0.1,
}  # fmt: skip
# These go with others: with a source, with patterns, with a fixed sampler.
NOT_ALONE = {"meta.source", "meta.patterns", "meta.open"}


def epoch_of(method, **values):
    """The weights of a tiny network after an epoch."""
    more = [f"{name}={value}" for name, value in values.items()]
    config = resolve(
        "digits",
        [f"method.name={method}", "model.widths=[8,8,16]", "schedule.epochs=3", "data.root=null",
         "run.batch_size=400", "pipeline.warmup=2", "run.threads=1", *more],
    ).config  # fmt: skip
    data = load_dataset(config.data, config.noise, config.run.seed)
    torch.manual_seed(0)
    procedure = start(config, data, torch.device("cpu"))
    procedure.train_epoch(0, lambda epoch, step, steps: None)
    return procedure.state_dict()


def tensors(state):
    """All tensors of a nested state, in its order."""
    if isinstance(state, torch.Tensor):
        return [state]
    parts = state.values() if isinstance(state, dict) else state
    return [t for part in parts if isinstance(part, dict | list | tuple | torch.Tensor)
            for t in tensors(part)]  # fmt: skip


def test_every_setting_that_a_method_may_not_read_is_tried():
    limited = {name for name in field_names() if readers(name) is not None}
    assert limited == {*OTHER, *NOT_ALONE}


@pytest.mark.parametrize("method", [m for m in known_methods() if m != "dividemix"])
def test_what_a_method_does_not_read_changes_no_number(method):
    unread = {name: value for name, value in OTHER.items() if method not in (readers(name) or ())}
    before, after = (tensors(epoch_of(method, **values)) for values in ({}, unread))
    assert len(before) == len(after) > 0
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def written(tmp_path, space, settings="{}"):
    path = tmp_path / "mine.yaml"
    path.write_text(f"preset: digits\nsettings: {settings}\nspace:\n{space}")
    return str(path)


def test_a_search_over_what_the_method_does_not_read_is_refused():
    with pytest.raises(UserError) as caught:
        load_space("quick", ("method=ce",))
    message = str(caught.value)
    assert "meta.lr: no setting that method ce reads; for clidmu, famus, mwnet" in message
    with pytest.raises(
        UserError, match=r"meta\.k.*: no setting that method mwnet reads; for famus"
    ):
        load_space("famus", ("method=mwnet",))


def test_what_some_method_of_the_space_reads_may_be_searched(tmp_path):
    methods = "  method.name: {type: choice, values: [ce, mwnet, famus]}\n"
    lr = "  meta.lr: {type: float, low: 0.1, high: 1}\n"
    load_space(written(tmp_path, methods + lr))
    only = lr.replace("1}", "1, when: {method.name: famus}}")
    load_space(written(tmp_path, methods + only))
    load_space(
        written(tmp_path, only + "  optimiser.lr: {type: int, low: 1, high: 2}\n"), ("method=ce",)
    )
    wrong = "  meta.k: {type: int, low: 1, high: 2, when: {method.name: [ce, mwnet]}}\n"
    with pytest.raises(UserError, match=r"meta\.k: no setting that methods ce, mwnet read"):
        load_space(written(tmp_path, methods + wrong))


@pytest.mark.parametrize("name", space_names())
def test_the_shipped_spaces_search_what_their_methods_read(name):
    load_space(name)
