"""The engine in a loop of your own: your network, your data, your optimiser."""

import torch
from torch import nn

from famus_ray.meta import LearnedWeights, meta_gradient

torch.manual_seed(0)
images, labels = torch.randn(64, 3, 8, 8), torch.randint(10, (64,))  # noisy
clean_images, clean_labels = torch.randn(32, 3, 8, 8), torch.randint(10, (32,))

network = nn.Sequential(
    nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(576, 10)
)
head = LearnedWeights()  # v = Psi(loss): each example's weight
optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
meta_optimiser = torch.optim.Adam(head.parameters(), lr=1e-3)

for _ in range(20):
    found = meta_gradient(
        network, head, (images, labels), (clean_images, clean_labels), lookahead_lr=0.1
    )
    for name, parameter in head.named_parameters():
        parameter.grad = found.head_grads[name]
    meta_optimiser.step()
    optimiser.zero_grad()
    head(found.logits_BC, labels).backward()  # the same forward, weighed anew
    optimiser.step()
print(f"meta loss {found.meta_loss:.3f}")
