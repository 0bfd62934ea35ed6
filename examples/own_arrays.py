"""Arrays of images and labels: train, and list the labels that are probably wrong."""

import numpy as np
from sklearn.datasets import load_digits

import famus_ray as fr

images, truth = load_digits(return_X_y=True)
images = images.reshape(-1, 8, 8) / 16  # in [0, 1]
rng = np.random.default_rng(0)
labels = np.where(rng.random(len(truth)) < 0.3, rng.integers(0, 10, len(truth)), truth)

clean = slice(0, 200)  # 200 labels that somebody has checked
result = fr.train(
    data=(images[200:], labels[200:]),
    meta=(images[clean], truth[clean]),
    schedule={"epochs": 6},
    quiet=True,
)
print(result)
wrong = fr.load_labels(result.path).query("is_label_issue")
print(f"{len(wrong)} labels are probably wrong")
print(wrong[["id", "given_name", "predicted_name", "label_score"]].head(3).to_string())
