"""The fields of the index, and a document as the index takes it."""

from __future__ import annotations

from urllib.parse import urlsplit

import tantivy

from lifelog_lake.recall.meaning import pieces
from lifelog_lake.recall.search import words
from lifelog_lake.recall.search.documents import DAY_US, Document

#: Raised whenever documents get other fields: an index of another one is made anew.
FORMAT = f"2.{words.VERSION}"
#: Fields that are compared whole.
_NAMES = ("key", "stream", "device", "tag", "site")
#: The short names of an event's pieces, in an index that is also asked by meaning.
PIECE = "piece"
#: What facets are counted by: names as they are shown.
STREAM, DEVICE, TAG, DAY = "by_stream", "by_device", "by_tag", "by_day"
#: When it began, for ranges: their documents are listed, and nobody goes through all the times.
UTC_DAY, UTC_HOUR = "utc_day", "utc_hour"
HOUR_US = DAY_US // 24


def schema() -> tantivy.Schema:
    """Folded words in ``text`` and ``app``, whole names, times, and the document itself."""
    builder = tantivy.SchemaBuilder()
    for name in ("text", "app"):
        builder.add_text_field(name, tokenizer_name="whitespace", index_option="position")
    for name in _NAMES:
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    for name in (STREAM, DEVICE, TAG):
        builder.add_text_field(name, fast=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field(PIECE, fast=True, tokenizer_name="raw", index_option="basic")
    builder.add_integer_field("at", fast=True)
    builder.add_integer_field(DAY, fast=True)
    for name in ("days", UTC_DAY, UTC_HOUR):
        builder.add_integer_field(name, indexed=True)
    builder.add_bytes_field("document", stored=True)
    return builder.build()


def indexed(document: Document, *, meant: bool = False) -> tantivy.Document:
    """A document as it is added. Its texts stay apart: no phrase reaches from one to the next.

    ``meant``: with the names of its pieces.
    """
    made = tantivy.Document()
    made.add_text("key", document.key)
    for text in document.texts:
        made.add_text("text", words.fold(text))
    if document.app:
        made.add_text("app", words.fold(document.app))
    made.add_text("stream", document.stream)
    made.add_text(STREAM, document.stream)
    made.add_text("device", words.exact(document.device))
    made.add_text(DEVICE, document.device)
    for tag in {words.exact(tag) for tag in document.tags}:
        made.add_text("tag", tag)
    for tag in document.tags:
        made.add_text(TAG, tag)
    for name in sites(document.site):
        made.add_text("site", name)
    made.add_integer("at", document.at)
    made.add_integer(DAY, document.day)
    made.add_integer(UTC_DAY, document.at // DAY_US)
    made.add_integer(UTC_HOUR, document.at // HOUR_US)
    for day in document.days:
        made.add_integer("days", day)
    for name in pieces.named(document) if meant else ():
        made.add_text(PIECE, name)
    made.add_bytes("document", document.stored())
    return made


def sites(site: str | None) -> list[str]:
    """A site and those that it lies below: ``mail.example.org:8080`` gives ``mail.example.org``,
    ``example.org`` and ``org`` too."""
    if not site:
        return []
    host = words.exact(site)
    try:
        bare = urlsplit(f"//{host}").hostname or host
    except ValueError:
        bare = host
    parts = bare.split(".")
    below = [] if parts[-1].isdigit() or ":" in bare else parts
    return list(dict.fromkeys([host, bare, *(".".join(below[n:]) for n in range(1, len(below)))]))
