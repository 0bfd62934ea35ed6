"""A loss head of your own: how far to trust the given labels, class by class."""

import torch
import torch.nn.functional as F
from torch import nn

from famus_ray.meta import meta_gradient


class MixedLabels(nn.Module):
    """Cross-entropy with a mixture of the given label and the network's own prediction."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.trust = nn.Parameter(torch.full((classes,), 2.0))  # theta, before the sigmoid

    def forward(self, logits, labels):
        predicted = logits.detach().softmax(dim=1)
        given = F.one_hot(labels, logits.shape[1]).to(logits.dtype)
        share = self.trust[labels].sigmoid().unsqueeze(1)
        return F.cross_entropy(logits, share * given + (1 - share) * predicted)


def points(count):
    """Points around four corners, and which corner it is."""
    corners = torch.tensor([[2.0, 2.0], [2.0, -2.0], [-2.0, 2.0], [-2.0, -2.0]])
    labels = torch.randint(4, (count,))
    return corners[labels] + torch.randn(count, 2), labels


torch.manual_seed(0)
inputs, labels = points(400)
labels[torch.rand(400) < 0.4] = 0  # four in ten labels are 0, wrongly
clean = points(40)

network = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 4))
head = MixedLabels(classes=4)
optimiser = torch.optim.SGD(network.parameters(), lr=0.5)
meta_optimiser = torch.optim.Adam(head.parameters(), lr=0.1)

for _ in range(150):
    found = meta_gradient(network, head, (inputs, labels), clean, lookahead_lr=0.5)
    for name, parameter in head.named_parameters():
        parameter.grad = found.head_grads[name]
    meta_optimiser.step()
    optimiser.zero_grad()
    head(found.logits_BC, labels).backward()
    optimiser.step()
print("trust in the given label:", " ".join(f"{t:.2f}" for t in head.trust.sigmoid()))
