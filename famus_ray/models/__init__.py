"""Networks, and the layer groups that gates open and close."""
