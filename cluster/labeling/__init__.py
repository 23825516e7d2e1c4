"""Bulk labeling: rows in, Parquet shards out."""
