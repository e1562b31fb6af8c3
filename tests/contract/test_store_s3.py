"""The store of a bucket keeps the promises of every store."""

from __future__ import annotations

import pytest

from lifelog_lake.lake.s3 import S3Target, open_s3
from tests.contract.store_suite import Damage, Suite
from tests.fixtures.s3 import S3Server


class TestS3(Suite):
    @pytest.fixture
    def store(self, s3_url: str) -> S3Target:
        return open_s3(s3_url)

    @pytest.fixture
    def damage(self, s3_server: S3Server, s3_url: str) -> Damage:
        root = s3_url.removeprefix("s3://")

        def write(key: str, content: bytes) -> None:
            s3_server.files().pipe_file(f"{root}/{key}", content)

        return write
