"""A network of your own: a class or function of (classes, channels)."""

from torch import nn

import famus_ray as fr


class Small(nn.Module):
    """Two convolutions and a linear classifier of their mean."""

    def __init__(self, classes, channels):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2), nn.BatchNorm2d(32), nn.ReLU(),
        )  # fmt: skip
        self.classifier = nn.Linear(32, classes)

    def forward(self, images):
        return self.classifier(self.features(images).mean((2, 3)))


if __name__ == "__main__":
    result = fr.train("digits", model="own_module:Small", schedule={"epochs": 4}, quiet=True)
    print(result)
