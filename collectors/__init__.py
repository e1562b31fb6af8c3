"""One module a source; found through the entry-point group `lifelog_lake.collectors`."""
