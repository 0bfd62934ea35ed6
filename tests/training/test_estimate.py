from famus_ray.config import resolve
from famus_ray.training import estimate


def test_a_large_batch_is_tried_on_some_of_its_rows(monkeypatch):
    config = resolve("digits", ("model.widths=[4,4,8]", "run.batch_size=32")).config
    whole = estimate.run_cost(config)
    assert whole.one_in == 1
    assert "one row in" not in estimate.describe_cost(whole, 30)
    monkeypatch.setattr(estimate, "_MOST_VALUES", 8 * 8 * 8)  # eight of its images
    part = estimate.run_cost(config)
    assert part.one_in == 4
    assert "measured on one row in 4 of a batch" in estimate.describe_cost(part, 30)
    assert part.steps == whole.steps
    assert part.memory >= whole.memory
