"""The collectors that come with lifelog_lake: one module a source.

They are found through the entry-point group ``lifelog_lake.collectors``; lifelog_lake itself
never imports them. See :mod:`lifelog_lake.collect.protocol` for how to write one.
"""
