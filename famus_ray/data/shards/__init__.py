"""Shards: a data set in a few large Parquet files that are read image by image."""
