"""The durable queue of one device: what `append` accepts survives until the lake has it.

This docstring is the specification of format 1. All of it is text that a person can read with
``less``; nothing depends on the byte order or word size of the host.

Terms
-----
*Stream*: a named sequence of events. *Epoch*: one life of a stream's numbering (a uuid7); a stream
has one current epoch. *Seq*: an event's place in its epoch: 0, 1, 2 … *Segment*: a file of
consecutive records, *open* (still appended to) or *sealed*. *Acked*: committed in the lake and read
back there.

Tree
----
::

    spool/
      format.json                                  {"format": 1}
      upgrade.lock                                 held while an older format is brought up
      <stream>/
        lock                                       flock; held for each append, read, ack, seal
        state.json                                 epoch, acked seq, drops, a crc; replaced whole
        <epoch>/
          <first>.open                             the open segment: first seq, 20 digits
          <first>-<last>.seg                       a sealed segment with its inclusive range
          blobs/<seq>-<sha256>                     content of the record with that seq
        acked/<epoch>/<first>-<last>.seg           kept after the ack (7 days or 1 GiB)
        quarantine/                                bytes and events that can't be used, kept

``acked/`` and ``quarantine/`` are created when first needed. Names that begin with ``.tmp-`` are
unfinished and removed at start.

Segment
-------
A segment is a sequence of lines. An open one is followed by zero bytes: it is extended in steps
(see ``segment.STEP_BYTES``), so that a sync need not wait for new file metadata (measured 1.4 to
1.8 times as fast) and so that a reserved stream has room on a full disk. Sealing cuts the zeros
off. A line is::

    <crc> <length> <seq> <type> <payload>\\n

``crc`` 8 hexadecimal digits, CRC-32 (ISO 3309, as zlib) of everything from ``length`` to the end of
the payload · ``length`` 8 hexadecimal digits, bytes of the payload · ``seq`` 16 hexadecimal digits
· ``type`` one letter · ``payload`` JSON (UTF-8, no newline in it). Types:

``H`` header, the first line: stream, device, epoch, boot id, the source's cursor at that moment;
its seq is the segment's first.
``R`` a record: the event with that seq (keys as in the envelope; what is null is left out).
``C`` end of a batch: wall clock and boot clock at the append (µs), and the source's cursor if it
was given; its seq is the batch's last.

A reader passes over types it doesn't know, so that a later version may add one.

``state.json`` is one JSON object; its ``crc`` is the CRC-32 (8 hexadecimal digits) of the object
without it, written without blanks, the keys in their order. An earlier version's lacks
``dropped_times``: when the rows of each drop were recorded.

Rules
-----
1. One `append` is one write of all its lines and one sync, under the stream's lock. It returns
   after the sync. The cursor of a pulled source lies in the same write as its rows.
2. A record's blob lies in ``blobs/`` under its seq, synced with its directory, before the record is
   written. The record is the blob's only reference here, and its file is removed when the record
   is acked: two records with equal content have two names, the lake stores them once. A record may
   also name content without bringing it (a slice of an earlier frame); the lake has it, or the
   record before brings it.
3. A whole line with a right crc is a record, whatever comes before or after it. After a damaged
   line the reader goes on at the next newline that begins a right line. A gap in the seqs is what
   was lost; it is recorded by the shipper and its bytes are kept in ``quarantine/``.
4. What follows the last right line of an open segment is torn if it doesn't end with a newline:
   it was never acknowledged and is cleared. If it does, it was a record and is damaged: its
   seq isn't given again.
5. After a failed write or sync the batch is not acknowledged, its bytes are cleared, the segment is
   sealed up to the seq before, and the next append begins a new file. Records outside the range in
   a sealed segment's name don't count.
6. The next seq is one above the highest of: the records, the segments' names, the acked seq.
7. The newest segment is never moved away: its header or batches hold the source's cursor.
8. Only the shipper acks. Segments whose range is acked move to ``acked/``.
9. A new epoch (a home that was rolled back or cloned, a lake that changed its generation) is
   written beside the old one and becomes current by the replacement of ``state.json``.
10. Without ``state.json`` the newest epoch that has segments is the current one, and each row in
   it is compared with the lake by its id. An epoch beside the current one (a crash during rule 9)
   goes to ``quarantine/``.
11. A newer format is refused; an older one is upgraded at start, crash-safe.
"""

from lifelog_lake.spool.check import SpoolReport, StreamReport, check
from lifelog_lake.spool.outlet import Append, Batch, Gap, Outlet, Record, StreamStats
from lifelog_lake.spool.queue import Spool
from lifelog_lake.spool.state import StreamState

__all__ = [
    "Append",
    "Batch",
    "Gap",
    "Outlet",
    "Record",
    "Spool",
    "SpoolReport",
    "StreamReport",
    "StreamState",
    "StreamStats",
    "check",
]
