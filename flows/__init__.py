"""Scheduled work: each flow is thin and schedules one function of ``lifelog_lake.care``."""
