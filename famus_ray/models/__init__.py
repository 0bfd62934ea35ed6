"""Networks, and their layer groups for gates."""
