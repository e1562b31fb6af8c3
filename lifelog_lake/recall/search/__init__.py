"""Search: what was written in events, found by an index of this machine's.

``words`` what a word is · ``query`` the language of the box, as a tree · ``request`` what narrows
it · ``plan`` the tree as tantivy's queries · ``find`` hits, pages, facets · ``newest`` pages by
time · ``snippets`` why a hit was found · ``frame`` and ``answer`` hits for notebooks and for
programs · ``documents`` what is searched of each stream · ``entries`` the journal's · ``schema``
the index's fields · ``filling`` rows into the index · ``waiting`` entries that aren't in the lake
yet · ``index`` the index on disk.

The index is disposable: it is made of the lake, follows the logs of its tables, and decides
nothing.
"""
