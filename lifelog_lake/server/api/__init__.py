"""The REST API: thin handlers over the journal and recall, described by ``openapi.json``.

``operation`` what a method says of itself, and how a request is held to it · ``models`` what goes
in and out · ``routes`` all of it at its addresses · ``openapi`` the description · ``work`` the
journal in threads · ``repeats`` requests that are sent again · ``entries``, ``captured``,
``files`` with ``inflow``, ``export``, ``access``, ``ingest`` with ``location`` the operations ·
``meter`` counters.
"""
