"""What keeps a lake small, fast and whole: plain functions, no scheduler.

Each job is a function ``run(home, store, clock) -> Outcome`` in a module of its own. The flows call
them by their schedules, the command line by hand; both get the same :class:`Outcome`. A job that
has nothing to do costs about one listing, one that is killed at any moment is finished by the next
run, and two that run at the same time do no harm.
"""
