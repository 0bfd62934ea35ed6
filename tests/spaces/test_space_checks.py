"""Search spaces: every mistake named at once."""

import optuna
import pytest

from famus_ray import UserError
from famus_ray.spaces.space import load_space
from famus_ray.spaces.study_checks import check_study

BAD = {
    "unknown keys": (
        "space:\n  meta.lr: {type: float, low: 1, high: 2, lgo: true}\nponits: []\n",
        ["meta.lr.lgo: unknown key", "ponits: unknown key"],
    ),
    "ranges": (
        "space:\n"
        "  meta.lr: {type: float, low: 2, high: 1}\n"
        "  meta.k: {type: int, low: 0, high: 3, log: true}\n"
        "  meta.hidden: {type: choice, values: []}\n"
        "  meta.gate_lr: {type: flaot, low: 1, high: 2}\n",
        [
            "meta.lr: low = 2.0 is above high = 1.0",
            "meta.k: low = 0: a log range must begin above 0",
            "meta.hidden.values: is empty",
            "meta.gate_lr.type = flaot: must be float, int, choice, constant, derived, did you",
        ],
    ),
    "malformed": (
        "settings: [famus]\n"
        "space:\n"
        "  meta.lr: {type: float, high: 2}\n"
        "  meta.k: 5\n"
        "  meta.hidden: {low: 1, high: 2}\n"
        "  meta.lambda1: {type: float, low: soon, high: 2}\n"
        "points: [3]\n",
        [
            "settings = ['famus']: must hold settings, such as {method: famus}",
            "meta.lr.low: is missing",
            "meta.k = 5: must be in braces, such as {type: float",
            "meta.hidden.type: is missing; one of float, int",
            'meta.lambda1.low = "soon": must be a number',
            "points[0] = 3: must hold settings",
        ],
    ),
    "no space": ("space: []\n", ["space = []: must hold settings and their ranges"]),
    "steps": (
        "space:\n"
        "  meta.k: {type: int, low: 1, high: 3, step: 5}\n"
        "  meta.lr: {type: float, low: 0.1, high: 1, step: 1.0e-300}\n",
        ["meta.k: step = 5: leaves one value, 1", "meta.lr: step = 1e-300: too small"],
    ),
    "not settings": (
        "space:\n"
        "  meta.lrr: {type: float, low: 1, high: 2}\n"
        "  meta.k: {type: int, low: 1, high: 3, when: {meta.gruping: layer}}\n"
        "points: [{meta.hidden: 3}]\n",
        [
            "meta.lrr: not a setting, did you mean 'meta.lr'?",
            "meta.k.when: meta.gruping is not a setting, did you mean 'meta.grouping'?",
            "points[0]: meta.hidden is not in the space",
        ],
    ),
    "circle": (
        "space:\n"
        "  meta.k: {type: int, low: 1, high: 3, when: {meta.hidden: 5}}\n"
        "  meta.hidden: {type: int, low: 4, high: 6, when: {meta.k: 2}}\n"
        "points: [{meta.lr: 1}]\n",
        ["when: these go round in a circle", "points[0]: meta.lr is not in the space"],
    ),
    "ends that no run may have": (
        "space:\n"
        "  noise.rate: {type: float, low: 0, high: 1.5}\n"
        "  meta.k: {type: int, low: -1, high: 3}\n"
        "  meta.scope: {type: choice, values: [all, tial]}\n"
        "  meta.hidden: {type: choice, values: [100, 0], when: {meta.grouping: block}}\n"
        "  meta.grouping: {type: choice, values: [layer, block]}\n",
        [
            "noise.rate = 1.5",
            "meta.k = -1",
            "meta.hidden = 0",
            "meta.scope = tial",
            "did you mean 'tail'?",
        ],
    ),
    "duplicate keys": (
        "space:\n  meta.k: {type: int, low: 1, high: 3}\n  meta.k: {type: int, low: 2, high: 3}\n",
        ["line 4", "duplicate key meta.k"],
    ),
    "a tag that would run code": (
        "space: !!python/object/apply:os.system ['true']\n",
        ["could not determine a constructor", "line 2"],
    ),
    "a syntax error": ("space: {meta.k: [1, 2}\n", ["line 2", "expected"]),
    "derived and constant": (
        "space:\n"
        "  meta.lr: {type: derived, of: meta.lrr}\n"
        "  meta.k: {type: constant, value: -3}\n"
        "  meta.gate_lr: {type: derived, of: meta.lambda1}\n"
        "  meta.lambda1: {type: derived, of: meta.gate_lr}\n",
        [
            "meta.lrr is not a setting",
            "meta.k = -3",
            "of: these go round in a circle: meta.gate_lr",
        ],
    ),
    "multiples that no run may have": (
        "space:\n"
        "  meta.lr: {type: float, low: 0.1, high: 1}\n"
        "  meta.k: {type: derived, of: meta.lr, times: -3}\n"
        "  meta.interval: {type: derived, of: meta.lr, times: 2, when: {meta.scope: all}}\n",
        ["meta.k = -3.0: must be >= 0.0 (-3 x meta.lr)", "meta.interval = 0.2: must be a whole"],
    ),
    "conditions that no trial meets": (
        "space:\n"
        "  meta.lr: {type: float, low: 0.1, high: 1, when: {method.name: [ce, mixup]}}\n"
        "  meta.k: {type: int, low: 1, high: 2, when: {meta.hidden: 4}}\n"
        "  meta.hidden: {type: int, low: 8, high: 9}\n",
        [
            'meta.lr.when: method.name is never ce or mixup: it is "famus" and not searched',
            "meta.k.when: meta.hidden is never 4",
        ],
    ),
    "a multiple of words": (
        "space:\n"
        "  meta.scope: {type: choice, values: [all, tail]}\n"
        "  meta.lr: {type: derived, of: meta.scope, times: 2}\n",
        ["meta.lr.of: meta.scope may be 'all', which has no multiple"],
    ),
    "a grid of too many": (
        "settings: {study: {searcher: grid}}\n"
        "space: {meta.hidden: {type: int, low: 1, high: 1000000000000000000000}}\n",
        ["more than a million configurations (1000000000000000000000 of meta.hidden)"],
    ),
    "a grid without an end": (
        "settings: {study: {searcher: grid, trials: 3}}\n"
        "space: {meta.lr: {type: float, low: 0.1, high: 1}}\n",
        ["meta.lr: has no end of values", "study.trials: a grid has all its trials"],
    ),
    "a seed": ("space: {run.seed: {type: int, low: 0, high: 3}}\n", ["run.seed: is the same"]),
    "a point outside its range": (
        "space:\n"
        "  meta.k: {type: int, low: 1, high: 3}\n"
        "  meta.scope: {type: choice, values: [all]}\n"
        "points: [{meta.k: 99, meta.scope: tail}]\n",
        ["points[0]: meta.k = 99", 'points[0]: meta.scope = "tail" is none of its values'],
    ),
    "points that cannot be": (
        "space:\n"
        "  meta.k: {type: int, low: 1, high: 7, step: 2, when: {meta.scope: all}}\n"
        "  meta.scope: {type: choice, values: [all, tail]}\n"
        "  meta.lr: {type: derived, of: meta.k}\n"
        "points: [{meta.k: '3'}, {meta.k: true}, {meta.k: 2}, {meta.k: 3, meta.scope: tail},\n"
        "  {meta.lr: 1}]\n",
        [
            'points[0]: meta.k = "3"',
            "points[1]: meta.k = true",
            "points[2]: meta.k = 2",
            "points[3]: meta.k is searched only where meta.scope = all, and the point has tail",
            "points[4]: meta.lr is derived",
        ],
    ),
    "settings and preset": (
        "settings: {method: fmus, mtea: {lr: 1}}\nspace: {meta.k: {type: int, low: 1, high: 3}}\n",
        ["method.name = fmus", "mtea"],
    ),
    "choices that are written apart and are one value": (
        "space:\n"
        '  meta.interval: {type: choice, values: [1, "1", 1.0, 2]}\n'
        "  meta.lr: {type: choice, values: [1, 1.0, 0.5]}\n"
        "  data.name: {type: choice, values: [digits, 'digits ']}\n",
        [
            'meta.interval.values: 1, "1", 1.0 are the same value; keep one',
            "meta.lr.values: 1, 1.0 are the same value",
        ],
    ),
    "mistakes of every kind": (
        "settings: {optimiser: {lr: -3}}\n"
        "space:\n"
        "  meta.lr: {type: float, low: 2, high: 1}\n"
        "  meta.kk: {type: int, low: 1, high: 3}\n"
        "points: [{meta.hidden: 3}]\n",
        ["optimiser.lr = -3", "low = 2.0 is above", "meta.kk", "points[0]: meta.hidden"],
    ),
}


def written(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text("preset: digits\n" + text)
    return str(path)


@pytest.mark.parametrize(("text", "found"), BAD.values(), ids=BAD)
def test_a_bad_space_ends_with_all_its_problems_in_one_message(tmp_path, text, found):
    path = written(tmp_path, text)
    with pytest.raises(UserError) as caught:
        load_space(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert [part for part in found if part not in message] == []


def test_a_space_without_its_parts_says_which(tmp_path):
    path = tmp_path / "empty.yaml"
    path.write_text("")
    with pytest.raises(UserError, match="preset: is missing\n  - space: is missing"):
        load_space(str(path))


def test_what_no_trial_has_need_not_make_sense(tmp_path):
    warmup = "pipeline.warmup: {type: int, low: 1, high: 3}"
    mixed = "settings: {method: dividemix, schedule: {epochs: 8}}\nspace:\n  "
    space = load_space(written(tmp_path, mixed + warmup + "\n"))
    assert space.base.config.pipeline.warmup == 1  # the preset's 10 would leave no epoch
    workers = "settings: {scale: {workers: 3}}\nspace:\n  run.batch_size: "
    load_space(written(tmp_path, workers + "{type: choice, values: [63, 126]}\n"))
    with pytest.raises(UserError, match=r"run\.batch_size = 64: must be a multiple"):
        load_space(written(tmp_path, workers + "{type: int, low: 63, high: 126}\n"))
    with pytest.raises(UserError, match=r"pipeline\.warmup = 9: leaves no epoch"):
        load_space(written(tmp_path, mixed + warmup.replace("3}", "9}") + "\n"))


def test_a_value_is_checked_together_with_what_its_condition_asks(tmp_path):
    losses = "loss.kind: {type: choice, values: [cross_entropy, ldam]"
    with pytest.raises(UserError, match="ldam: its margins are on cosines"):
        load_space(written(tmp_path, f"space:\n  {losses}}}\n"))
    classifiers = "model.classifier: {type: choice, values: [linear, cosine]}"
    conditional = f"space:\n  {classifiers}\n  {losses}, when: {{model.classifier: cosine}}}}\n"
    load_space(written(tmp_path, conditional))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("study.constraints=['time/step < 1']",), "'time/step < 1' is not a bound on a curve"),
        (("study.constraints=['time/step <= soon']",), "is not a bound on a curve"),
        (("study.constraints=['tme/step <= 1']",), "tme/step is not .*did you mean 'time/step'"),
        (("study.minimise=[time/stp]", "study.scheduler=none"), "did you mean 'time/step'"),
        (("study.scheduler=pbt", "study.exploit_every=6"), "nothing is ever replaced in the 6"),
        (("study.scheduler=pbt", "study.trials=3"), "study.trials = 3: pbt replaces a quarter"),
        (("study.constraints=['time/step <= 1']", "study.searcher=gp"), "knows no constraints"),
    ],
)
def test_a_study_that_cannot_be_is_refused(overrides, message):
    with pytest.raises(UserError, match=message):
        check_study(load_space("quick", overrides).base.config)


def test_a_space_is_shared_between_methods_chosen_on_the_command_line(tmp_path):
    path = tmp_path / "shared.yaml"
    path.write_text(
        "preset: digits\n"
        "space:\n"
        "  optimiser.lr: {type: float, low: 0.1, high: 1}\n"
        "  meta.k: {type: int, low: 1, high: 2, when: {method.name: famus}}\n"
    )
    trial = optuna.create_study().ask()
    assert set(load_space(str(path), ("method=mwnet",))(trial)) == {"optimiser.lr"}


def test_all_problems_of_a_study_come_at_once():
    overrides = (
        "study.minimise=[time/stp]", "study.leaders=2", "study.metric=validation/loss",
        "study.constraints=['time/step < 1', 'tme/step <= 1']", "study.searcher=gp",
    )  # fmt: skip
    with pytest.raises(UserError) as caught:
        check_study(load_space("quick", overrides).base.config)
    message = str(caught.value)
    for part in (
        "study: 7 problems\n  - study.metric = validation/loss",
        "study.scheduler = asha: with several objectives", "study.leaders = 2",
        "study.searcher = gp: knows no constraints", "'time/step < 1' is not a bound",
        "tme/step is not", "study.minimise: time/stp is not",
    ):  # fmt: skip
        assert part in message
