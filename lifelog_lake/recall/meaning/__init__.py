"""Search by meaning: texts as vectors that lie near each other when they mean nearly the same.

``pieces`` what of an event is embedded · ``bert`` the model's arithmetic · ``model`` the model as
it lies on disk · ``vectors`` the vectors of the stream ``embedding``, as this machine keeps them to
be compared · ``nearest`` the events whose texts are near to what was asked.

Off unless ``[search] semantic`` turns it on; docs/search.md says what it costs.
"""
