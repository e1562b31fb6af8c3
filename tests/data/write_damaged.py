"""How ``damaged/`` was made of ``v1/``: what differs from it, and what should be found.

``python -m tests.data.write_damaged`` writes it anew; it gives the same bytes each time. A case is
a directory with the files that differ and ``case.json``: ``gone`` (files that aren't there),
``finds`` (kind and key of each finding, or a part of the sentence for a spool's), and ``leaves``
(what a repair without a copy leaves: rows of the tables, and losses on record).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
V1 = HERE / "v1"
FRAME_1 = "blobs/sha256/56/f5/56f5a971b3594642a6a1c07ed7b8a1467240b578ecdbc8bf8f9189e7a1b219bf"
WINDOW = (
    "tables/window/date=2026-01-02/"
    "9fcb36b663688d674c679ba942b7cf5c2b124dd0ef58feacbd32a60e6635072c.parquet"
)
SCREEN = (
    "tables/screen/date=2026-01-02/"
    "6d0e53bce261f846c047e280a4eb32e7aa5ee930f447d770b5071100acef935c.parquet"
)
ENTRY = "tables/window/_delta_log/00000000000000000001.json"
SPOOL = "home/spool/window/01a1fdfc-1363-7361-839a-9df2700b8464/00000000000000000000.open"
SPOOL_BLOB = (
    "home/spool/screen/01a1fdfc-137d-7276-8e74-312afc3c98bd/blobs/"
    "00000000000000000002-6ad5018336b83bb247f98cbb2e13cec929abfcbff92d1b3816a319a22fb112b7"
)
Change = Callable[[bytes], bytes | None]
ALL = {"window": 10, "screen": 4}
NO_BLOB = ALL | {"lost": [f"Blob {FRAME_1.rpartition('/')[2]} is missing."]}


def flipped(content: bytes) -> bytes:
    """One bit in the middle."""
    changed = bytearray(content)
    changed[len(content) // 2] ^= 0x08
    return bytes(changed)


def cut(content: bytes) -> bytes:
    """Without its end."""
    return content[: len(content) * 2 // 3]


def gone(content: bytes) -> None:
    """Not there."""
    del content


def record_flipped(content: bytes) -> bytes:
    """One bit of the record with seq 7."""
    place = content.index(b"title 7")
    return content[:place] + b"tItle 7" + content[place + 7 :].rstrip(b"\0")


def torn(content: bytes) -> bytes:
    """The last record and the end of its batch weren't written to their end."""
    return content[: content.index(b"title 9") + 3]


CASES: dict[str, tuple[str, Change, str, dict[str, object] | None]] = {
    "data-file-flipped": (f"lake/{WINDOW}", flipped, "data-file-damaged", ALL),
    "data-file-cut": (f"lake/{SCREEN}", cut, "data-file-size", ALL),
    "data-file-gone": (f"lake/{WINDOW}", gone, "data-file-missing", ALL),
    "blob-flipped": (f"lake/{FRAME_1}", flipped, "blob-damaged", NO_BLOB),
    "blob-cut": (f"lake/{FRAME_1}", cut, "blob-size", NO_BLOB),
    "blob-gone": (f"lake/{FRAME_1}", gone, "blob-missing", NO_BLOB),
    "log-entry-cut": (f"lake/{ENTRY}", cut, "log-damaged", None),
}


#: Of a spool: file, change, parts of the sentences, rows and losses after shipping.
SPOOLS: dict[str, tuple[str, Change, list[str], dict[str, object]]] = {
    "spool-record-flipped": (
        SPOOL, record_flipped, ["are damaged", "seqs 7 to 7 are missing"],
        {"window": 9, "screen": 4, "lost": ["window: seqs 7 to 7 quarantined"]},
    ),
    "spool-torn": (SPOOL, torn, [], {"window": 9, "screen": 4, "lost": []}),
    "spool-blob-gone": (
        SPOOL_BLOB, gone, [], ALL | {"lost": ["screen: seqs 2 to 2 blob-lost"]},
    ),
}  # fmt: skip


def main() -> None:
    """Write it."""
    shutil.rmtree(HERE / "damaged", ignore_errors=True)
    lakes = {
        name: (file, change, [[kind, file.removeprefix("lake/")]], leaves)
        for name, (file, change, kind, leaves) in CASES.items()
    }
    for name, (file, change, finds, leaves) in (lakes | SPOOLS).items():
        case = HERE / "damaged" / name
        case.mkdir(parents=True)
        changed = change((V1 / file).read_bytes())
        if changed is not None:
            (case / file).parent.mkdir(parents=True)
            (case / file).write_bytes(changed)
        told = {
            "gone": [file] if changed is None else [],
            "finds": finds,
            "leaves": leaves,
        }
        (case / "case.json").write_text(json.dumps(told, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
