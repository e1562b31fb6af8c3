"""A lake in a bucket of an S3 server: RustFS, SeaweedFS, AWS, any that honours conditional puts.

``address`` what the settings say · ``credentials`` the keys, read anew when refused · ``client``
one call with its time limit, its retries and its errors · ``reader`` seekable reading · ``upload``
big content in parts, resumable · ``probe`` what the server is able to do and the key allowed to ·
``target`` the store of all that.
"""

from lifelog_lake.lake.s3.target import S3Target, open_s3

__all__ = ["S3Target", "open_s3"]
