"""Runs and studies on disk, as pandas data frames."""

from __future__ import annotations

import pandas as pd

from famus_ray.reading.many import Names, of_each

__all__ = ["load_curves", "load_samples", "load_trials"]


def load_trials(studies: Names) -> pd.DataFrame:
    """The trials of a study, one row per trial, in the order of their start.

    - `trial`, `trial_id`: its number, from 0, and the name of its folder under trials/;
    - `replicates`: the trial whose configuration it trains with another seed;
    - `parent`, `from_epoch`: the trial and epoch whose checkpoint it continued from (pbt);
    - `state`: running, completed, pruned, failed or interrupted;
    - `value`, `value_std`: the study's metric at the best epoch, a share in [0, 1] if it is an
      accuracy, and its standard deviation over seeds; empty if it was never finite;
    - `epochs`, `seconds`, `attempts`: completed epochs, training time, number of starts;
    - `started`, `ended`, `node`: when and where it ran;
    - `reason`: why it is not completed, in one line;
    - `pruned_at`, `pruned_value`, `needed`: the epoch at which the pruner ended it, its value
      there, and the least value that went on; empty in studies of older versions;
    - `error`: the traceback of a failed trial, or how a pruned one diverged.

    There are further columns for each searched setting, `param.<setting>`: empty where its
    condition does not hold, and the text `null` for null; for each minimised objective,
    `cost.<curve>`; and for each constraint, `excess.<constraint>`, above 0 where it is broken.
    Settings have the type of their values: `boolean`, `Int64`, `float64`, or `category` for words;
    values of several types stay what they are.

    The table comes from the ledger: it has failed, pruned and interrupted trials, and can be read
    while the study is running.

    Args:
        studies: a study's path, URL, or name under `runs/`; or several, as a list or a pattern
            such as `runs/*`. Of several the column `run` names the study.

    Raises:
        UserError: not the folder of a study.
    """
    return of_each(studies, lambda found: found.trials)


def load_curves(runs: Names) -> pd.DataFrame:
    """The curves of a run or of all trials of a study, one row per epoch and metric.

    - `trial`: the number in the trials table, or the folder's name for a single run;
    - `seed`: empty if a trial has one run only;
    - `epoch`: completed epochs, from 1;
    - `metric`: split/quantity, such as `test/top1`, `train/loss`, `time/step`, `gates/open`;
    - `value`: `top1`, `top5` and gates are shares in [0, 1], losses in nats, times in seconds.

    A trial of a study with missing or damaged curves is left out, with a warning.

    Args:
        runs: a path, URL, or name under `runs/`; or several, as a list or a pattern such as
            `runs/*`. Of several the column `run` names the run or study, and `trial` is empty for
            a single run.

    Raises:
        UserError: neither a run nor a study, or no finished epoch.
    """
    return of_each(runs, lambda found: found.curves)


def load_samples(runs: Names) -> pd.DataFrame:
    """The divisions of a run, one row per training example, division and network.

    Those of a study are of all its trials, with the columns `trial` and `seed`.

    - `epoch`: completed epochs when the division was made; the last division has the highest;
    - `network`: the network that judged: 0, or 1 for the second of two;
    - `id`: the example's place in the data set's training order;
    - `label`, `true_label`: the label in training, and before corruption (-1 where unknown);
    - `prediction`: the class with the highest probability;
    - `loss`: cross-entropy of `label` in nats;
    - `p_label`: probability of `label`, the mean over near neighbours, in [0, 1];
    - `rival`, `p_rival`: the other class with the highest such probability, and that one;
    - `p_clean`: probability that `label` is right, in [0, 1], from the mixture;
    - `weight`: from the meta model, in (0, 1), before normalisation; empty without one.

    Args:
        runs: a path, URL, or name under `runs/`; or several, as a list or a pattern such as
            `runs/*`. Of several the column `run` names the run or study.

    Raises:
        UserError: not the folder of a run, or the run has no division yet.
    """
    return of_each(runs, lambda found: found.samples)
