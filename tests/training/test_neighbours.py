"""Probabilities over near neighbours: by hand, of few examples, and of a sample of many."""

from __future__ import annotations

import numpy as np
import torch

from famus_ray.training.neighbours import Neighbours, reference_places


def test_the_mean_is_over_the_fifty_nearest_logits():
    generator = torch.Generator().manual_seed(0)
    reference = torch.randn(750, 3, generator=generator, dtype=torch.float64)
    logits = torch.randn(700, 3, generator=generator, dtype=torch.float64)
    labels = torch.randint(3, (700,), generator=generator)
    p_label, rivals, p_rival = Neighbours(reference).judge(logits, labels)
    for i in (0, 511, 512, 699):
        near = np.linalg.norm(reference.numpy() - logits[i].numpy(), axis=1).argsort()[:50]
        mean = reference[near].softmax(dim=1).mean(dim=0)
        assert torch.isclose(p_label[i], mean[labels[i]])
        mean[labels[i]] = 0
        assert rivals[i] == mean.argmax()
        assert torch.isclose(p_rival[i], mean.max())


def test_small_classes_have_fewer_neighbours():
    logits = torch.eye(6).repeat(2, 1) * 9  # two examples of each of six classes
    p_label, _, _ = Neighbours(logits).judge(logits, torch.arange(6).repeat(2))
    assert (p_label > 0.99).all()


def test_a_label_learned_by_heart_is_told_by_the_images_around_it():
    logits = torch.tensor([[4.0, 0.0]] * 50 + [[0.0, 4.0]] * 50)
    logits[3] = torch.tensor([1.9, 2.1])  # on its way from class 0 to its wrong label
    labels = torch.tensor([0] * 50 + [1] * 50)
    labels[3] = 1
    assert logits[3].argmax() == labels[3]
    p_label, rivals, _ = Neighbours(logits).judge(logits, labels)
    assert p_label.argmin() == 3
    assert (labels[3], rivals[3]) == (1, 0)


def test_the_reference_of_many_examples_is_a_sample_of_all_of_them():
    assert reference_places(5).tolist() == [0, 1, 2, 3, 4]
    places = reference_places(60_000)
    assert len(places) == 20_000
    assert places.diff().eq(3).all()
