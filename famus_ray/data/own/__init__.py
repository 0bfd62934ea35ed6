"""A user's own images: folders, tables, Parquet files and idx files as people have them."""
