"""A layer grouping of your own: two gates, for the first and the second half of the parameters."""

import famus_ray as fr
from famus_ray.models.layer_groups import LayerGroup, LayerGroups


def halves(model):
    """The groups of a network's parameters."""
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    middle = len(names) // 2
    return LayerGroups(
        trunk=(),
        gated=(
            LayerGroup("first", tuple(names[:middle])),
            LayerGroup("second", tuple(names[middle:])),
        ),
        last_layer=tuple(names[-2:]),
    )


if __name__ == "__main__":
    meta = {"grouping": "own_grouping:halves", "k": 1}
    print(fr.train("digits", method="famus", meta=meta, schedule={"epochs": 2}, quiet=True))
