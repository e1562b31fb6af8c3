"""Silence is noticed, and said once: from what the fleet last said to a message for a person.

:mod:`~lifelog_lake.care.facts` reads what the lake knows of each device · ``rules`` make
:class:`~lifelog_lake.care.health.model.Finding` of it · ``alerts`` open, keep and resolve them, one
row of the stream ``alert`` a change · ``outbox`` and ``notify`` bring them to the person ·
``job`` does all of it once.
"""
