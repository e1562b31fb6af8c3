"""The journal: entries a person writes, changes, deletes, exports and brings back.

An entry is a set of revisions, rows of the stream ``journal`` that share its ``entry_id``. Nothing
is ever changed in place: an edit and a delete are revisions, too. Their order is the Lamport
counter, then the time of writing, then the device, then the id. A revision that no other one names
as its ``parent`` is a head. The entry is its greatest head that isn't a delete, so where one device
deletes and another one edits without knowing of it, the edit wins; if all heads are deletes, it is
deleted. A delete names each head that it knew of, one row each, so that what lost against another
edit doesn't come back. The same revisions give the same entry, in whatever order they arrive.

Its files are rows of the stream ``attachment`` with its ``entry_id``; a row with ``deleted``
removes the one with the same ``key``.

``model`` entries and what may be in them · ``rows`` them as rows of the streams · ``outbox`` what
the journal needs of the spool, ``spooled`` the spool as that, and ``open_journal``, where to
begin · ``index`` all revisions on disk, disposable, quick to ask ·
``pages`` lists of entries · ``standing`` entries as timeline and notebooks show them ·
``content`` what a file is · ``journal`` all that one can do ·
``exporting`` · ``importing`` with ``foreign`` for other programs' files.

Everything is written through the spool: durable on return, with no lake in reach. The device's own
rows are seen at once.
"""
