"""The ranked list of labels: by hand, on noisy digits, next to cleanlab, as files and a page."""

import base64
import io
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

import famus_ray as fr
from famus_ray.cli import main
from famus_ray.config import resolve
from famus_ray.data.digits import read_digits
from famus_ray.reading.labels import (
    Estimate,
    estimate_wrong,
    label_quality,
    rank_labels,
    what_is_missing,
    why_weak,
)
from famus_ray.records.tables import CURVES, LABELS, SAMPLES, read_table, write_table
from famus_ray.training.out_of_sample import cleanlab_ranking

COLUMNS = {"id", "is_label_issue", "label_score", "given_label", "predicted_label"}


def judgement(id, p_label, rival, p_rival, epoch=1, network=0, label=0, true_label=0, loss=1.0):
    return {
        "epoch": epoch, "network": network, "id": id, "label": label, "true_label": true_label,
        "prediction": rival if p_rival > p_label else label, "loss": loss, "p_label": p_label,
        "rival": rival, "p_rival": p_rival, "p_clean": 0.5, "weight": 0.5,
    }  # fmt: skip


def surely(id, of, label, p=0.99, epoch=1):
    """An example that the network is sure belongs to class `of`, whatever its label is."""
    other = (of + 1) % 3
    if label == of:
        return judgement(id, p, other, 1 - p, label=label, epoch=epoch)
    return judgement(id, 1 - p, of, p, label=label, epoch=epoch)


def test_judgements_are_summed_up_in_one_row():
    rows = [
        judgement(7, 0.6, 1, 0.4), judgement(7, 0.4, 2, 0.6, epoch=2),
        judgement(3, 0.1, 1, 0.9, loss=3.0), judgement(3, 0.2, 2, 0.8, epoch=2, loss=5.0),
        judgement(4, 0.2, 1, 0.8), judgement(4, 0.2, 1, 0.8, epoch=2),
    ]  # fmt: skip
    ranked = rank_labels(pd.DataFrame(rows)).set_index("id")
    assert ranked.index.tolist() == [3, 4, 7]
    # Of 7 the rival 2 has (0 + 0.6) / 2 = 0.3, less than the label's mean of 0.5.
    assert ranked["predicted_label"].to_dict() == {3: 1, 4: 1, 7: 0}
    assert ranked["judgements"].tolist() == [2] * 3
    np.testing.assert_allclose(ranked["loss"], [4.0, 1.0, 1.0])
    assert ranked["label_score"].between(0, 1).all()


def test_a_label_is_suspected_where_labels_of_the_class_turn_into_it():
    # Of 40 sure images of class 0, 10 have the label 1 and none the label 2.
    rows = [surely(i, 0, 0 if i % 4 else 1) for i in range(40)]
    rows += [surely(i, i % 2 + 1, i % 2 + 1) for i in range(40, 120)]
    between = {"p_label": 0.4, "rival": 0, "p_rival": 0.5}
    rows += [judgement(200, label=1, **between), judgement(201, label=2, **between)]
    ranked = rank_labels(pd.DataFrame(rows)).set_index("id")
    assert ranked.loc[200, "is_label_issue"]
    assert not ranked.loc[201, "is_label_issue"]
    assert ranked.loc[200, "label_score"] < ranked.loc[201, "label_score"]


def test_on_clean_labels_nothing_is_suspected_where_classes_overlap():
    rows = [surely(i, i % 3, i % 3) for i in range(90)]
    rows += [judgement(100 + i, 0.2, 1, 0.7, label=0) for i in range(10)]
    ranked = rank_labels(pd.DataFrame(rows))
    assert not ranked["is_label_issue"].any()
    assert ranked["id"].head(10).min() == 100  # they are the first to look at all the same


def test_the_estimate_is_the_share_of_other_labels_among_the_surest_scaled_up():
    # The network is less sure of wrong labels: of 100 images of a class 2 of the surest 10 have
    # another label, 9 of the surest 30, 35 of the surest 70.
    wrong = {0, 1, *range(10, 17), *range(30, 56)}
    rows = [surely(i, 0, 1 if i in wrong else 0, 0.99 - i / 300) for i in range(100)]
    rows += [surely(i, 1, 1) for i in range(100, 150)]
    assert estimate_wrong(pd.DataFrame(rows)) == Estimate(wrong=30, low=20, high=50)
    assert estimate_wrong(pd.DataFrame(rows[100:])) == Estimate(0, 0, 0)


def test_a_table_of_an_earlier_version_is_ranked_too():
    rows = [judgement(1, 0, 3, 1, loss=2.0), judgement(2, 1, 3, 0, loss=0.1)]
    new = ["network", "p_label", "rival", "p_rival"]
    ranked = rank_labels(pd.DataFrame(rows).drop(columns=new))
    assert ranked["id"].tolist() == [1, 2]
    assert ranked["predicted_label"].tolist() == [3, 0]


def test_quality_is_the_auroc_and_the_precision_at_the_number_of_wrong_labels():
    rng = np.random.default_rng(0)
    score = np.sort(rng.random(300))
    wrong = rng.random(300) > score
    frame = pd.DataFrame({"label_score": score, "given_label": wrong.astype(int), "true_label": 0})
    unknown = pd.DataFrame({"label_score": [0.0], "given_label": [1], "true_label": [-1]})
    quality = label_quality(pd.concat([unknown, frame], ignore_index=True))
    assert quality["auroc"] == pytest.approx(roc_auc_score(wrong, -score))
    assert quality["precision"] == pytest.approx(wrong[: wrong.sum()].mean())
    assert quality["wrong"] == pytest.approx(wrong.mean())


def quality_of(scores, wrong, loss=None):
    frame = pd.DataFrame({"label_score": scores, "given_label": wrong, "true_label": 0})
    return label_quality(frame if loss is None else frame.assign(loss=loss))


@pytest.mark.parametrize("wrong", [[1, 1, 0, 0, 0], [0, 0, 0, 1, 1]])
def test_a_constant_score_says_nothing_whatever_the_order(wrong):
    quality = quality_of([0.5] * 5, wrong)
    assert (quality["auroc"], quality["precision"]) == (0.5, pytest.approx(2 / 5))
    assert quality_of([0.5] * 5, [1, 1, 0, 0, 0], loss=[5, 4, 3, 2, 1])["auroc"] == 1  # no equals


def test_equal_scores_count_by_the_mean_over_their_orders():
    rng = np.random.default_rng(0)
    score = np.sort(rng.integers(0, 6, 200) / 5)
    wrong = (rng.random(200) > score).astype(int)
    quality = quality_of(score, wrong)
    assert quality["auroc"] == pytest.approx(roc_auc_score(wrong, -score))
    shuffled = []
    for _ in range(2000):
        order = np.lexsort((rng.random(200), score))
        shuffled.append(wrong[order][: wrong.sum()].mean())
    spread = np.std(shuffled) / np.sqrt(len(shuffled))
    assert abs(quality["precision"] - np.mean(shuffled)) < 5 * spread


@pytest.mark.parametrize("wrong", [0, 1])
def test_quality_needs_labels_that_are_known_to_be_wrong(wrong):
    frame = pd.DataFrame({"given_label": [wrong] * 3, "true_label": [0] * 3})
    with pytest.raises(fr.UserError, match="only where wrong labels are known"):
        label_quality(frame)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Digits with 40 % symmetric noise, as the preset has them."""
    root = tmp_path_factory.mktemp("runs")
    settings = ("schedule.epochs=20", "run.threads=1", f"run.root={root}", "run.name=noisy")
    return fr.train("digits", *settings).path


def test_wrong_labels_of_noisy_digits_are_found_no_worse_than_by_cleanlab(run):
    labels = fr.load_labels(run)
    assert set(labels) >= COLUMNS
    ours = label_quality(labels)
    assert 0.3 < ours["wrong"] < 0.4
    assert ours["auroc"] >= 0.97
    assert ours["precision"] >= 0.9
    config = resolve(run / "config.yaml", ["schedule.epochs=10"]).config
    theirs = cleanlab_ranking(config, 3, lambda fold: None)
    assert sorted(theirs["id"]) == sorted(labels["id"])
    assert label_quality(theirs)["auroc"] > 0.9  # a fair opponent
    assert ours["precision"] >= label_quality(theirs)["precision"]
    suggested = labels[labels["is_label_issue"]]
    assert (suggested["predicted_label"] == suggested["true_label"]).mean() > 0.85


def draw(root, split, count):
    """Images of three classes that a network tells apart: a bright third, another in each."""
    rng = np.random.default_rng(count)
    for label, name in enumerate("abc"):
        folder = root / split / name
        folder.mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 60, (12, 12, 3), dtype=np.uint8)
            pixels[4 * label : 4 * label + 4] += 150
            Image.fromarray(pixels).save(folder / f"{i}.png")


def trained_on_folders(root, *settings):
    few = ("model.name=preact_resnet8", "model.widths=[8,8,16]", "schedule.epochs=6",
           "optimiser.lr=0.05", "run.batch_size=16", "run.threads=1")  # fmt: skip
    data = ("data.name=folders", f"data.root={root / 'data'}", "data.image_size=12",
            "data.augment=none", "data.meta_per_class=0", "method=ce")  # fmt: skip
    return fr.train("own", *data, *few, f"run.root={root}", *settings).path


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("folders")
    draw(root / "data", "train", 66)
    draw(root / "data", "test", 10)
    return root


def test_the_list_of_clean_labels_is_empty(folders):
    labels = fr.load_labels(path := trained_on_folders(folders, "run.name=clean"))
    assert len(labels) > 170
    assert labels["is_label_issue"].mean() <= 0.01
    assert estimate_wrong(fr.load_samples(path)).high <= 0.02 * len(labels)
    assert (labels["true_label"] == -1).all()


def test_noise_on_ones_own_folders_can_be_measured(folders):
    noise = ("noise.kind=symmetric_excl", "noise.rate=0.3", "run.name=noisy")
    labels = fr.load_labels(path := trained_on_folders(folders, *noise))
    quality = label_quality(labels)
    assert quality["wrong"] == pytest.approx(0.3, abs=0.01)
    assert quality["auroc"] > 0.95
    found = estimate_wrong(fr.load_samples(path))
    assert found.low <= found.wrong <= found.high
    assert 0.5 < found.wrong / (0.3 * len(labels)) < 1.5
    issues = labels[labels["is_label_issue"]]
    assert (issues["predicted_label"] != issues["given_label"]).all()
    assert (issues["predicted_label"] == issues["true_label"]).mean() > 0.9


def test_few_of_the_digits_as_published_are_called_wrong(tmp_path):
    settings = ("noise.kind=none", "noise.rate=0", "method=ce", "schedule.epochs=10")
    result = fr.train("digits", *settings, f"run.root={tmp_path}", "run.threads=1")
    labels = fr.load_labels(result.path)
    assert labels["is_label_issue"].mean() <= 0.01
    assert sorted(fr.load_samples(result.path)["epoch"].unique()) == [8, 9, 10]


@pytest.fixture
def command(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["famus-ray", "labels", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return call


def test_labels_on_screen_and_in_files(run, command, tmp_path):
    expected = fr.load_labels(run)
    code, out, _ = command(run, "--top", 3)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:4]] == list(map(str, expected["id"][:3]))
    assert f"{expected['is_label_issue'].sum()} of {len(expected)} labels" in out
    for name, read in (("a.csv", pd.read_csv), ("a.parquet", pd.read_parquet)):
        assert command(run, "--to", tmp_path / name)[0] == 0
        pd.testing.assert_frame_equal(read(tmp_path / name), expected)
    assert json.loads(command(run, "--json")[1])[0]["id"] == expected["id"][0]


def test_top_is_as_many_labels_wherever_they_go(run, command, tmp_path):
    first = fr.load_labels(run).head(3)
    assert [row["id"] for row in json.loads(command(run, "--json", "--top", 3)[1])] == [
        *first["id"]
    ]
    assert command(run, "--to", tmp_path / "a.csv", "--top", 3)[0] == 0
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "a.csv"), first)


def test_the_page_shows_the_most_suspicious_images_and_loads_nothing(run, command, tmp_path):
    assert command(run, "--to", tmp_path / "a.html", "--top", 5)[0] == 0
    page = (tmp_path / "a.html").read_text()
    assert page.count("data:image/png;base64,") == 5
    assert "http" not in page
    pixels = read_digits()[0].pixels
    found = re.findall(r'alt="example (\d+)" src="data:image/png;base64,([^"]+)"', page)
    for place, picture in found:
        image = np.array(Image.open(io.BytesIO(base64.b64decode(picture))))
        assert (image == pixels[int(place)][0]).all()
    for row in fr.load_labels(run).head(5).itertuples():
        assert f'alt="example {row.id}"' in page
        assert f"<s>{row.given_label}</s> → <b>{row.predicted_label}</b>" in page


def test_the_page_says_why_it_has_no_pictures(run, command, tmp_path):
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("samples.parquet", "manifest.json"):
        (moved / name).write_bytes((run / name).read_bytes())
    config = (run / "config.yaml").read_text()
    (moved / "config.yaml").write_text(config.replace("name: digits", "name: cifar10"))
    assert command(moved, "--to", tmp_path / "a.html")[0] == 0
    page = (tmp_path / "a.html").read_text()
    assert "Without pictures: data.root: cifar10 is read from a folder" in page
    assert "data:image" not in page
    assert page.count("<li>") == 200


def test_a_model_that_guesses_is_weak_evidence(run, command, tmp_path):
    assert why_weak(run) == ""
    assert "weak" not in command(run, "--top", 1)[2]
    poor = shutil.copytree(run, tmp_path / "poor")
    curves = read_table(poor / "curves.parquet", CURVES)
    curves.loc[curves["metric"] == "validation/top1", "value"] = 0.2
    write_table(poor / "curves.parquet", CURVES, curves)
    code, out, err = command(poor, "--to", tmp_path / "a.html", "--top", 1)
    assert (code, out) == (0, f"{tmp_path / 'a.html'}\n")
    assert err.startswith("famus-ray: weak evidence: the model that judged is right on 20% of")
    assert "Weak evidence: the model" in (tmp_path / "a.html").read_text()


def test_what_is_not_in_the_list_is_told(run, command, tmp_path):
    split = read_table(run / "labels.parquet", LABELS)["split"].value_counts()
    held_out = f"{split['validation']} validation and {split['meta']} meta images"
    assert split["validation"] > 100
    code, out, err = command(run, "--json", "--top", 1)
    assert (code, len(json.loads(out))) == (0, 1)
    assert err.startswith(f"famus-ray: not in the list: {held_out}")
    assert "data.validation_fraction=0 run.select=test" in err
    assert command(run, "--to", tmp_path / "a.html", "--top", 1)[0] == 0
    assert f"Not in the list: {held_out}" in (tmp_path / "a.html").read_text()


def test_images_of_a_validation_set_of_its_own_are_not_missed(run, tmp_path):
    own = shutil.copytree(run, tmp_path / "own")
    labels = read_table(own / "labels.parquet", LABELS)
    labels.loc[labels["split"] == "validation", "id"] = range(
        labels["split"].eq("validation").sum()
    )
    write_table(own / "labels.parquet", LABELS, labels)
    assert [line.split(" images")[0] for line in what_is_missing(own)] == [
        "not in the list: 100 meta"
    ]


def test_the_list_of_a_run_that_goes_on_says_so(run, command, tmp_path):
    under_way = shutil.copytree(run, tmp_path / "under-way")
    samples = read_table(under_way / "samples.parquet", SAMPLES)
    write_table(under_way / "samples.parquet", SAMPLES, samples.assign(epoch=7))
    told = "the run has not finished: its labels were judged after epoch 7 of 20"
    assert f"famus-ray: {told}" in command(under_way, "--top", 1)[2]
    assert command(under_way, "--to", tmp_path / "a.html", "--top", 1)[0] == 0
    assert told[1:] in (tmp_path / "a.html").read_text()
    assert not any("finished" in line for line in what_is_missing(run))


def test_reading_labels_needs_neither_torch_nor_ray(run):
    code = (
        "import sys, famus_ray as fr\n"
        f"fr.load_labels({str(run)!r})\n"
        "print({'torch', 'ray'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
