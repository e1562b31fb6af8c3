"""The hub's routes with the lake on S3: content by ranges, and a server that fails."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from lifelog_lake.clock import to_us
from lifelog_lake.events import BlobSource, new_event
from lifelog_lake.home import open_home
from lifelog_lake.lake import init_lake
from lifelog_lake.spool import Spool
from tests.browser.hub import minutes_ago, picture, ship_frames, start_hub
from tests.fixtures.proxy import Fault, Proxy
from tests.fixtures.pulses import entry, pulse, record
from tests.fixtures.s3 import HUB, S3Server
from tests.helpers import ship

BIG = os.urandom(9 * 2**20)


def test_pages_read_a_lake_on_s3(tmp_path: Path, s3_server: S3Server, s3_url: str) -> None:
    path = tmp_path / "home"
    path.mkdir()
    (path / "config.toml").write_text(f'[lake]\nurl = "{s3_url}"\n')
    home = open_home(path)
    init_lake(home)
    ship_frames(home, [minutes_ago(30)])
    source = BlobSource.of_bytes(BIG, "video/mp4")
    event = new_event(
        "attachment", at=to_us(minutes_ago(1)), data={"key": "k", "name": "n"}, source=source
    )
    Spool.of(home).append([event])
    ship(home)
    record(home, pulse(to_us(minutes_ago(0.1)), [entry("screen", "screen", to_us(minutes_ago(1)))]))
    with Proxy(s3_server.port) as proxy:
        hub = start_hub(home, environment=s3_server.environment(endpoint=proxy.endpoint))
        try:
            client = hub.client()

            def blob(content: bytes) -> str:
                return f"{hub.url}lifelog/api/blobs/{hashlib.sha256(content).hexdigest()}"

            assert client.get(blob(picture("Frame 0"))).content == picture("Frame 0")
            part = client.get(blob(BIG), headers={"Range": "bytes=5000000-8999999"})
            assert (part.status_code, part.content) == (206, BIG[5_000_000:9_000_000])
            assert client.get(blob(b"nothing")).status_code == 404
            fleet = client.get(f"{hub.url}lifelog/api/health").json()
            assert fleet["troubles"] == []
            (device,) = fleet["devices"]
            assert abs(device["skew_s"]) < 300, "by the server's clock"
            assert fleet["storage"]["disk_free_bytes"] is None
            assert fleet["storage"]["total_bytes"] > 0
            lake = client.get(f"{hub.url}lifelog/api/settings/lake")
            assert lake.json()["reachable"] is True
            assert f"s3://{lake.json()['bucket']}/{lake.json()['prefix']}" == s3_url
            assert lake.json()["place"] == proxy.endpoint
            proxy.plan(lambda _: Fault(answer=503))
            away = client.get(f"{hub.url}lifelog/api/settings/lake")
            assert (away.status_code, away.json()["reachable"]) == (200, False)
            assert away.json()["error"]
            for told in (lake.text, away.text):
                assert not any(key in told for key in HUB)
            failed = client.get(blob(BIG))
            assert failed.status_code == 503
            assert "bucket lake" in failed.text
            proxy.plan(None)
            assert client.get(blob(BIG)).content == BIG
        finally:
            hub.stop()
