"""Keys: where they come from, that they are never shown, and what happens when they change."""

from __future__ import annotations

import logging
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backend
import pytest

from lifelog_lake.errors import LakeDenied, LifelogError, UsageError
from lifelog_lake.lake import parse_url
from lifelog_lake.lake.s3 import credentials
from lifelog_lake.ship import Shipper
from tests.fixtures.command import Run, a_command, a_home, said
from tests.fixtures.oracle import assert_whole, produce, ship_until_well, some
from tests.fixtures.proxy import Fault, Proxy
from tests.fixtures.s3 import DEVICE, HUB, S3Server
from tests.helpers import make_home
from tests.needs import require_program

__all__ = ["a_command", "a_home"]
URL = "s3://lake/x"
ROOT = Path(__file__).resolve().parents[2]


def write_keys(home: Path, keys: tuple[str, str], mode: int = 0o600) -> None:
    path = home / credentials.FILE
    path.write_text(f'access_key_id = "{keys[0]}"\nsecret_access_key = "{keys[1]}"\n')
    path.chmod(mode)


class MemoryRing(keyring.backend.KeyringBackend):
    priority = 1  # type: ignore[assignment]

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[(service, username)] = password


@pytest.fixture
def ring() -> Iterator[MemoryRing]:
    before = keyring.get_keyring()
    mine = MemoryRing()
    keyring.set_keyring(mine)
    yield mine
    keyring.set_keyring(before)


def test_where_keys_come_from(
    tmp_path: Path, ring: MemoryRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LakeDenied, match="no keys"):
        credentials.read(tmp_path, URL)
    keyring.set_password(credentials.SERVICE, URL, "ring-key:ring:secret")
    assert credentials.read(tmp_path, URL).secret == "ring:secret"
    write_keys(tmp_path, ("file-key", "file-secret"))
    assert credentials.read(tmp_path, URL).key_id == "file-key"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "env-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "env-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    found = credentials.read(tmp_path, URL)
    assert (found.key_id, found.token) == ("env-key", "token")
    assert "env" not in repr(found)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    write_keys(tmp_path, ("key", "s3cret"), mode)
    with pytest.raises(UsageError, match="chmod 600") as caught:
        credentials.read(tmp_path, URL)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    ["", "access_key_id = 5", 'access_key_id = "s3cret', 'access_key_id = "a"\nother = "s3cret"'],
)
def test_a_file_without_keys_is_refused_and_not_shown(tmp_path: Path, content: str) -> None:
    (tmp_path / credentials.FILE).write_text(content)
    (tmp_path / credentials.FILE).chmod(0o600)
    with pytest.raises(UsageError, match="pair of keys") as caught:
        credentials.read(tmp_path, URL)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "endpoint",
    ["http://example.org", "http://10.0.0.1:9000", "ftp://127.0.0.1", "127.0.0.1:9000", "http://",
     "https://user:s3cret@example.org", "https://example.org?x=1"],
)  # fmt: skip
def test_endpoints_that_are_refused(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(UsageError) as caught:
        make_home(tmp_path / "home", lake=URL)
    assert caught.value.hint
    assert "s3cret" not in str(caught.value)


def test_plain_http_to_another_machine_is_a_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://rustfs:9000")
    monkeypatch.setenv("LIFELOG_LAKE__PLAIN_HTTP", "true")
    assert parse_url(URL).describe() == "http://rustfs:9000"


def test_a_bucket_is_made_once(lifelog: Run, s3_url: str) -> None:
    url = f"s3://made-{s3_url.rpartition('/')[2]}/lake"
    without = lifelog("init", LIFELOG_LAKE__URL=url)
    assert without.returncode == 3
    assert "--make-bucket" in said(without)
    for made in (True, False):
        done = lifelog("init", "--make-bucket", LIFELOG_LAKE__URL=url)
        assert done.returncode == 0, done.stderr
        assert (f"Made the bucket of {url}" in done.stdout) is made


def test_a_directory_has_no_bucket_to_make(lifelog: Run) -> None:
    done = lifelog("init", "--make-bucket")
    assert done.returncode == 2
    assert "--lake s3://" in said(done)


@pytest.mark.parametrize("endpoint", ["http://localhost:9", "http://[::1]:9", "https://a.b:9000"])
def test_endpoints_that_are_taken(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    assert parse_url(URL).describe() == endpoint


def test_keys_that_are_rotated_are_taken_up_without_a_restart(
    tmp_path: Path, s3_server: S3Server, s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = tmp_path / "ledger"
    home = make_home(tmp_path / "home", lake=s3_url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    write_keys(home.path, HUB)
    shipper = Shipper.of(home)
    produce(home, ledger, *some(1))
    ship_until_well(shipper, tries=1)
    with Proxy(s3_server.port) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        shipper = Shipper.of(home)
        ship_until_well(shipper, tries=1)
        write_keys(home.path, ("nobody", "nobody's secret"))
        produce(home, ledger, *some(1))
        proxy.plan(lambda _: Fault(answer=403))  # revoked there too
        with pytest.raises(LakeDenied):
            shipper.run_once()
        assert proxy.faults == 2  # once, and once with the keys that were read anew
        with pytest.raises(LakeDenied):
            shipper.run_once()
        assert proxy.faults == 3  # the same keys aren't tried twice
        proxy.plan(None)
        with pytest.raises(LakeDenied, match="InvalidAccessKeyId"):
            shipper.run_once()
        write_keys(home.path, DEVICE)
        ship_until_well(shipper, tries=1)
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    assert_whole(home, ledger=ledger)


def test_no_key_is_ever_shown(
    lifelog: Run, home: Path, s3_server: S3Server, s3_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = s3_server.environment((HUB[0], "wr0ng-s3cret"))
    right = s3_server.environment() | {"LOG_LEVEL": "debug"}
    said = [
        lifelog("init", "--lake", s3_url, **right),
        lifelog("ship", **right),
        lifelog("verify", "--read-data", **right),
        lifelog("doctor", **right),
        lifelog("config", "show", **right),
        lifelog("ship", **wrong),
        lifelog("ship", **(right | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"})),
        lifelog("init", "--lake", "s3://key:wr0ng-s3cret@lake/x", **right),
    ]
    ends = [done.returncode for done in said]
    assert ends == [0, 0, 0, 0, 0, 3, 3, 2], "\n".join(map(str, said))
    assert "conditional put" in said[3].stdout
    texts = [done.stdout + done.stderr for done in said]
    texts += [path.read_text("utf-8") for path in home.rglob("*.jsonl")]
    texts += [path.read_text("utf-8") for path in (home / "logs").rglob("*") if path.is_file()]
    texts.append((home / "config.toml").read_text("utf-8"))
    for text in texts:
        assert HUB[1] not in text
        assert "wr0ng-s3cret" not in text


@pytest.fixture
def authority(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for this machine by an authority that nobody knows, and a server's context."""
    openssl = require_program("openssl", package="openssl")
    bundle, key, leaf, leaf_key = (tmp_path / f"{name}.pem" for name in ("ca", "ck", "leaf", "lk"))
    new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
           "-days", "2"]  # fmt: skip
    for words in (
        ["-keyout", key, "-out", bundle, "-subj", "/CN=nobody knows"],
        ["-keyout", leaf_key, "-out", leaf, "-subj", "/CN=here", "-CA", bundle, "-CAkey", key,
         "-addext", "basicConstraints=CA:FALSE", "-addext", "subjectAltName=IP:127.0.0.1"],
    ):  # fmt: skip
        subprocess.run([openssl, *new, *words], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf, leaf_key)
    return bundle, context


#: In a process of its own: what Delta's engine and polars trust is asked once a process.
TLS = """
import sys
from pathlib import Path
from lifelog_lake.ship import Shipper
from tests.fixtures.oracle import assert_whole, produce, ship_until_well, some
from tests.helpers import make_home
from tests.needs import require_program
root, url = Path(sys.argv[1]), sys.argv[2]
home = make_home(root / "home", lake=url)
produce(home, root / "ledger", *some(1))
ship_until_well(Shipper.of(home), tries=1)
assert_whole(home, ledger=root / "ledger")
"""


def test_a_certificate_of_ones_own_is_trusted_by_all_parts_or_none(
    tmp_path: Path, s3_server: S3Server, s3_url: str, authority: tuple[Path, ssl.SSLContext]
) -> None:
    certificate, context = authority
    with Proxy(s3_server.port, tls=context) as proxy:
        said = []
        for name, more in (("trusted", {"AWS_CA_BUNDLE": str(certificate)}), ("unknown", {})):
            (tmp_path / name).mkdir()
            done = subprocess.run(
                [sys.executable, "-c", TLS, str(tmp_path / name), s3_url],
                cwd=ROOT, capture_output=True, text=True, check=False,
                env={**os.environ, "AWS_ENDPOINT_URL": proxy.endpoint, **more},
            )  # fmt: skip
            said.append(done)
    assert said[0].returncode == 0, said[0].stderr
    assert said[1].returncode != 0
    assert "certificate isn't trusted; set [lake] ca_bundle" in said[1].stderr


def test_a_wrong_setting_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://a.b")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "nothing.pem"))
    with pytest.raises(LifelogError, match="no CA bundle"):
        parse_url(URL)
