"""Scheduled work: each flow is thin and schedules one function of ``lifelog_lake.care``.

``python -m flows`` is the one process that the supervisor starts: Prefect's server (unless another
one is named) and the runner of its flows. A job itself runs in a process of its own, without
Prefect, so that it can be ended at any time and gives its memory back.

``jobs`` lists the functions · ``care`` the flows, which Prefect shows · ``job`` and ``child`` the
two ends of a job's process · ``deployments`` their schedules · ``due`` which run is to be started ·
``runner`` starts them · ``server`` the embedded Prefect · ``history`` its database ·
``surroundings`` what Prefect is told
before it is imported.

Prefect is imported nowhere else, and nothing here is imported by ``lifelog_lake``.
"""
