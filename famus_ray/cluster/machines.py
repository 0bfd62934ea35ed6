"""Machine types that studies run on: their GPUs, and what they cost an hour.

Prices are list prices in the United States as of 2025, rounded, without disks and traffic; those of
spot machines change by the hour. They tell ten dollars from a thousand, no more.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MACHINES", "PRICES_OF", "Machine"]

PRICES_OF = "2025"  # the year of the prices below


@dataclass(frozen=True)
class Machine:
    """A machine type.

    Attributes:
        provider: aws, gcp or azure.
        cpus: virtual CPUs.
        gpus: GPUs.
        gpu: the GPU's name; empty if there is none.
        dollars: list price an hour, on demand.
        spot: about what a spot machine costs an hour.
    """

    provider: str
    cpus: int
    gpus: int
    gpu: str
    dollars: float
    spot: float


MACHINES = {
    "m7i.large": Machine("aws", 2, 0, "", 0.10, 0.04),
    "m7i.xlarge": Machine("aws", 4, 0, "", 0.20, 0.08),
    "m7i.2xlarge": Machine("aws", 8, 0, "", 0.40, 0.16),
    "g4dn.xlarge": Machine("aws", 4, 1, "T4", 0.53, 0.20),
    "g5.xlarge": Machine("aws", 4, 1, "A10G", 1.01, 0.45),
    "g5.2xlarge": Machine("aws", 8, 1, "A10G", 1.21, 0.55),
    "g6.xlarge": Machine("aws", 4, 1, "L4", 0.80, 0.35),
    "g6.2xlarge": Machine("aws", 8, 1, "L4", 0.98, 0.45),
    "g6.12xlarge": Machine("aws", 48, 4, "L4", 4.60, 2.10),
    "g6e.xlarge": Machine("aws", 4, 1, "L40S", 1.86, 0.90),
    "g6e.12xlarge": Machine("aws", 48, 4, "L40S", 10.49, 5.00),
    "p4d.24xlarge": Machine("aws", 96, 8, "A100", 21.96, 11.00),
    "p5.48xlarge": Machine("aws", 192, 8, "H100", 55.04, 25.00),
    "e2-standard-4": Machine("gcp", 4, 0, "", 0.13, 0.05),
    "g2-standard-4": Machine("gcp", 4, 1, "L4", 0.71, 0.28),
    "g2-standard-8": Machine("gcp", 8, 1, "L4", 0.85, 0.34),
    "g2-standard-12": Machine("gcp", 12, 1, "L4", 1.00, 0.40),
    "g2-standard-16": Machine("gcp", 16, 1, "L4", 1.15, 0.46),
    "g2-standard-24": Machine("gcp", 24, 2, "L4", 2.00, 0.80),
    "g2-standard-32": Machine("gcp", 32, 1, "L4", 1.73, 0.70),
    "g2-standard-48": Machine("gcp", 48, 4, "L4", 4.00, 1.60),
    "g2-standard-96": Machine("gcp", 96, 8, "L4", 8.00, 3.20),
    "a2-highgpu-1g": Machine("gcp", 12, 1, "A100", 3.67, 1.80),
    "a2-highgpu-2g": Machine("gcp", 24, 2, "A100", 7.35, 3.60),
    "a2-highgpu-4g": Machine("gcp", 48, 4, "A100", 14.69, 7.20),
    "a2-highgpu-8g": Machine("gcp", 96, 8, "A100", 29.39, 14.40),
    "a3-highgpu-8g": Machine("gcp", 208, 8, "H100", 88.00, 30.00),
    "Standard_D4s_v5": Machine("azure", 4, 0, "", 0.19, 0.05),
    "Standard_NC4as_T4_v3": Machine("azure", 4, 1, "T4", 0.53, 0.15),
    "Standard_NC8as_T4_v3": Machine("azure", 8, 1, "T4", 0.75, 0.22),
    "Standard_NC16as_T4_v3": Machine("azure", 16, 1, "T4", 1.20, 0.36),
    "Standard_NC64as_T4_v3": Machine("azure", 64, 4, "T4", 4.35, 1.30),
    "Standard_NC24ads_A100_v4": Machine("azure", 24, 1, "A100", 3.67, 1.10),
    "Standard_NC48ads_A100_v4": Machine("azure", 48, 2, "A100", 7.35, 2.20),
    "Standard_NC96ads_A100_v4": Machine("azure", 96, 4, "A100", 14.69, 4.40),
    "Standard_NC40ads_H100_v5": Machine("azure", 40, 1, "H100", 6.98, 2.80),
    "Standard_NC80adis_H100_v5": Machine("azure", 80, 2, "H100", 13.96, 5.60),
    "Standard_ND96isr_H100_v5": Machine("azure", 96, 8, "H100", 98.32, 40.00),
}
