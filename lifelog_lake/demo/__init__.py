"""Believable years for those who want to look first: ``lifelog demo``.

What a seed makes is decided by integers alone: draws are words of a Philox generator (whose
stream numpy keeps stable), turned into numbers by multiplying and shifting. No clock, locale or
zone of this machine decides anything; sines are in the sound alone (and in its level, rounded to
a tenth of a dB). So the same plan gives the
same Parquet files and pictures, byte for byte, wherever the same versions of pyarrow, Pillow and
libsndfile run; their names are their hashes, so comparing lists of files is enough.

``plan`` what is asked for · ``chance`` the draws · ``scenes`` what can be on a screen · ``rhythm``
the blocks of a day · ``activity`` windows, frames, pages in the blocks · ``rows`` ids, slices and
Arrow tables · ``pictures`` and ``sounds`` the blobs · ``fill`` all of it into a lake.
"""
