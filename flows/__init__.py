"""Thin scheduled flows, each around one function of `lifelog_lake.care` or `lifelog_lake.recall`."""
