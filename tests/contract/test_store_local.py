"""The store of a directory keeps the promises of every store."""

from __future__ import annotations

from pathlib import Path

import pytest

from lifelog_lake.lake.local import LocalTarget
from tests.contract.store_suite import Damage, Suite


class TestLocal(Suite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> LocalTarget:
        target = LocalTarget(tmp_path / "lake")
        target.prepare()
        return target

    @pytest.fixture
    def damage(self, store: LocalTarget) -> Damage:
        def write(key: str, content: bytes) -> None:
            (store.root / key).write_bytes(content)

        return write
