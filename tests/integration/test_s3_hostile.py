"""Answers that no S3 server should give: redirects, web pages, wrong bytes, endless lists."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lifelog_lake.errors import LakeDenied, LakeRefused, LakeUnreachable, LifelogError, UsageError
from lifelog_lake.home import Home
from lifelog_lake.lake import parse_url
from lifelog_lake.lake.s3 import client, open_s3
from lifelog_lake.lake.store import blob_key
from lifelog_lake.ship import Shipper
from lifelog_lake.ship.refusals import MOST
from tests.fixtures.oracle import assert_whole, big, produce, ship_until_well, some
from tests.fixtures.proxy import Fault, Proxy, Request, error, page
from tests.fixtures.s3 import S3Server
from tests.helpers import make_home

MIB = 2**20
#: Parses as XML, as the pages of login walls and of consoles may.
WEB_PAGE = Fault(raw=page(200, "<html><body><p>Please log in</p></body></html>"))


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[Proxy]:
    with Proxy(s3_server.port) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_WAIT_S", 0.05)


@pytest.fixture
def home(tmp_path: Path, s3_url: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    return make_home(tmp_path / "home", lake=s3_url)


def writes(request: Request, what: str) -> bool:
    return request.method in {"PUT", "POST"} and what in request.path


def of_content(request: Request) -> bool:
    return writes(request, "/blobs/")


def is_completion(request: Request) -> bool:
    return request.method == "POST" and "uploadId" in request.path


def is_list(request: Request) -> bool:
    return "list-type" in request.path


@pytest.fixture
def elsewhere() -> Iterator[tuple[int, list[bytes]]]:
    """Another server: its port, and what came to it."""
    came: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def listen() -> None:
            while True:
                try:
                    caller, _ = listener.accept()
                except OSError:
                    return
                with caller:
                    came.append(caller.recv(65536))
                    caller.sendall(page(200, "taken", 'ETag: "x"'))

        threading.Thread(target=listen, daemon=True).start()
        yield listener.getsockname()[1], came


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_nothing_goes_where_a_redirect_points(
    status: int, home: Home, proxy: Proxy, elsewhere: tuple[int, list[bytes]], tmp_path: Path
) -> None:
    """A session token in a header and the content went there, in plain http.

    Delta's engine follows those of its reads, as they hold no content, and to https alone.
    """
    port, came = elsewhere
    produce(home, tmp_path / "ledger", *some(1), big(9 * MIB))
    answer = Fault(raw=page(status, "", f"Location: http://127.0.0.1:{port}/x"))
    proxy.plan(lambda _: answer)
    with pytest.raises(LakeRefused, match="sends us elsewhere"):
        Shipper.of(home).run_once()
    for wanted in ("/blobs/", ".parquet", "_delta_log"):
        proxy.plan(lambda request, w=wanted: answer if writes(request, w) else None)  # type: ignore[misc]
        assert Shipper.of(home).run_once().errors
        assert proxy.faults
    assert came == []
    proxy.plan(None)
    ship_until_well(Shipper.of(home), tries=1)
    assert_whole(home, ledger=tmp_path / "ledger")


@pytest.mark.parametrize(
    "answer",
    [error(400, "ExpiredToken"), error(400, "AuthorizationHeaderMalformed"), page(301), page(404)],
)
@pytest.mark.parametrize("size", [1000, 9 * MIB])
def test_content_isnt_set_aside_for_what_isnt_its_fault(
    answer: bytes, size: int, home: Home, proxy: Proxy, tmp_path: Path
) -> None:
    produce(home, tmp_path / "ledger", big(size))
    proxy.plan(lambda request: Fault(raw=answer) if of_content(request) else None)
    for _ in range(MOST + 1):
        assert Shipper.of(home).run_once().errors
    proxy.plan(None)
    ship_until_well(Shipper.of(home), tries=1)
    assert_whole(home, ledger=tmp_path / "ledger")


def test_a_session_that_has_expired_is_replaced_as_other_keys_are(
    home: Home, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS says 400 to it, not 403."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "old")
    store = open_s3(home.lake_url, home)
    proxy.plan(lambda _: Fault(raw=error(400, "ExpiredToken")))
    with pytest.raises(LakeDenied, match="this key"):
        store.read("lake.json")
    proxy.plan(
        lambda request: Fault(raw=error(400, "ExpiredToken")) if request.number == 0 else None
    )
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "hub-key")
    assert store.read("lake.json")


@pytest.mark.parametrize(
    "hit",
    [
        is_list,
        of_content,
        is_completion,
        lambda request: request.method == "PUT",
        lambda request: request.method == "HEAD",
        lambda request: request.method == "GET",
        lambda request: "lake.json" not in request.path,
    ],
)
@pytest.mark.parametrize(
    "fault",
    [WEB_PAGE, Fault(raw=page(404)), Fault(raw=error(412, "PreconditionFailed"))],
    ids=["page", "404", "412"],
)
def test_nonsense_is_an_error_in_words_and_costs_nothing(
    fault: Fault, hit: Callable[[Request], bool], home: Home, proxy: Proxy, tmp_path: Path
) -> None:
    """Not a mistake in the program, which ended the shipper's process."""
    produce(home, tmp_path / "ledger", *some(1), big(9 * MIB))
    proxy.plan(lambda request: fault if hit(request) else None)
    with contextlib.suppress(LifelogError):
        Shipper.of(home).run_once()
    assert proxy.faults
    proxy.plan(None)
    ship_until_well(Shipper.of(home), tries=1)
    assert_whole(home, ledger=tmp_path / "ledger")


def test_a_web_page_is_no_empty_bucket(
    s3_url: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    proxy.plan(lambda request: WEB_PAGE if is_list(request) else None)
    with pytest.raises(LakeRefused, match="doesn't answer as an S3 server"):
        open_s3(s3_url).streams()


@pytest.mark.parametrize("token", ["", "<NextContinuationToken>x</NextContinuationToken>"])
def test_a_list_without_an_end_ends(
    token: str, s3_url: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    answer = f"<ListBucketResult><IsTruncated>true</IsTruncated>{token}</ListBucketResult>"
    proxy.plan(lambda _: Fault(raw=page(200, answer)))
    with pytest.raises(LakeRefused, match="without an end"):
        open_s3(s3_url).streams()
    assert len(proxy.seen) <= 2


def test_parts_listed_without_an_end_are_listed_once(
    home: Home, proxy: Proxy, tmp_path: Path
) -> None:
    produce(home, tmp_path / "ledger", big(9 * MIB))
    answer = (
        "<ListPartsResult><IsTruncated>true</IsTruncated>"
        "<NextPartNumberMarker>1</NextPartNumberMarker></ListPartsResult>"
    )
    proxy.plan(
        lambda request: (
            Fault(raw=page(200, answer))
            if request.method == "GET" and "/blobs/" in request.path and request.number < 100
            else None
        )
    )
    ship_until_well(Shipper.of(home), tries=1)
    assert proxy.faults == 2
    proxy.plan(None)
    assert_whole(home, ledger=tmp_path / "ledger")


def test_a_store_that_doesnt_know_conditions_is_refused_by_name(
    tmp_path: Path, s3_url: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some answer 501 to the header; that was taken for trouble that passes."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    proxy.plan(
        lambda request: Fault(raw=error(501, "NotImplemented")) if request.conditional else None
    )
    with pytest.raises(LakeRefused, match="conditional put"):
        make_home(tmp_path / "home", lake=s3_url)


@pytest.mark.parametrize("answer", [error(501, "NotImplemented"), error(405, "MethodNotAllowed")])
def test_a_server_without_a_list_of_uploads_is_no_error(
    answer: bytes, home: Home, proxy: Proxy, tmp_path: Path
) -> None:
    produce(home, tmp_path / "ledger", *some(1))
    proxy.plan(
        lambda request: (
            Fault(raw=answer) if request.method == "GET" and "uploads" in request.path else None
        )
    )
    ship_until_well(Shipper.of(home), tries=1)
    assert proxy.faults == 1
    assert_whole(home, ledger=tmp_path / "ledger")


def test_a_commit_that_is_denied_isnt_repeated_fifty_times(
    home: Home, proxy: Proxy, tmp_path: Path
) -> None:
    """Nor said to have met another writer; each time left a data file behind."""
    produce(home, tmp_path / "ledger", *some(1))
    ship_until_well(Shipper.of(home), tries=1)
    produce(home, tmp_path / "ledger", *some(1))
    shipper = Shipper.of(home)
    proxy.plan(
        lambda request: (
            Fault(answer=403) if request.method == "PUT" and "_delta_log" in request.path else None
        )
    )
    done = shipper.run_once()
    assert "another writer" not in str(done.errors)
    assert all(isinstance(failure, LakeUnreachable) for failure in done.errors.values())
    files = [seen for seen in proxy.seen if seen.method == "PUT" and ".parquet" in seen.path]
    assert len(files) == 1
    proxy.plan(None)
    ship_until_well(shipper, tries=1)
    assert_whole(home, ledger=tmp_path / "ledger")


def test_bytes_that_the_proof_found_wrong_are_sent_again(
    home: Home, s3_server: S3Server, proxy: Proxy, tmp_path: Path
) -> None:
    """Of the right size they were taken for the content by the next run, and that was gone."""
    produce(home, tmp_path / "ledger", big(9 * MIB))
    (content,) = home.spool.glob("attachment/*/blobs/*")
    key = f"{home.lake_url.removeprefix('s3://')}/{blob_key(content.name.split('-')[1])}"

    def rot(request: Request) -> Fault | None:
        """A disk that gives other bytes back."""
        if request.method == "HEAD" and any(map(is_completion, proxy.seen)):
            proxy.plan(None)
            s3_server.files().pipe_file(key, os.urandom(9 * MIB))
        return None

    proxy.plan(rot)
    (failure,) = Shipper.of(home).run_once().errors.values()
    assert "as it was sent" in str(failure)
    assert content.exists()
    ship_until_well(Shipper.of(home), tries=1)
    assert_whole(home, ledger=tmp_path / "ledger")


def test_what_a_lost_answer_completed_isnt_fetched_to_prove_it(
    home: Home, proxy: Proxy, tmp_path: Path
) -> None:
    """Hours, for 20 GiB on a home's line; the bytes here tell the ETag."""
    produce(home, tmp_path / "ledger", big(9 * MIB))
    proxy.plan(lambda request: Fault(swallow=True) if is_completion(request) else None)
    ship_until_well(Shipper.of(home))
    assert proxy.faults
    fetched = [
        seen
        for seen in proxy.seen
        if seen.method == "GET" and "/blobs/" in seen.path and "uploadId" not in seen.path
    ]
    assert fetched == []
    proxy.plan(None)
    assert_whole(home, ledger=tmp_path / "ledger")


def test_parts_that_were_there_dont_count_as_speed(
    home: Home, proxy: Proxy, tmp_path: Path
) -> None:
    produce(home, tmp_path / "ledger", big(4 * 8 * MIB))
    proxy.plan(lambda request: Fault(answer=403) if "partNumber=4" in request.path else None)
    assert Shipper.of(home).run_once().errors
    proxy.plan(None)
    told: list[int] = []
    (content,) = home.spool.glob("attachment/*/blobs/*")
    store = parse_url(home.lake_url, home)
    store.put_blob(content, content.name.split("-")[1], lambda done, _: told.append(done))
    assert told[0] == 3 * 8 * MIB
    assert told[-1] == 4 * 8 * MIB
    assert told == sorted(told)


@pytest.mark.parametrize(
    "variables",
    [
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ENDPOINT_URL_S3": "HERE"},
        {"AWS_CONDITIONAL_PUT": "disabled"},
    ],
)
def test_the_environment_doesnt_part_the_log_from_its_files(
    variables: dict[str, str],
    s3_url: str,
    s3_server: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Delta's engine looks at variables of its own."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value.replace("HERE", s3_server.endpoint))
    home = make_home(tmp_path / "home", lake=s3_url)
    produce(home, tmp_path / "ledger", *some(1))
    ship_until_well(Shipper.of(home), tries=1)
    assert_whole(home, ledger=tmp_path / "ledger")


def test_no_endpoint_comes_in_by_the_back_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain http over a network, in a variable for S3 alone, or in a file of the AWS command."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://10.0.0.1:9000")
    with pytest.raises(UsageError, match="plain http"):
        parse_url("s3://lake/x")
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        (tmp_path / "config").write_text(
            f"[default]\nendpoint_url = http://127.0.0.1:{listener.getsockname()[1]}\n"
        )
        for name, value in {
            "AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b", "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        listener.settimeout(0)
        with pytest.raises(LakeUnreachable):  # AWS itself, which the proxy keeps us from
            parse_url("s3://lake/x").read("lake.json")
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_keys_in_an_address_arent_shown_and_a_slash_too_few_is_no_directory() -> None:
    for address in ("s3://KEY:s3cret/lake", "s3://KEY:s3cret@lake/x"):
        with pytest.raises(UsageError) as caught:
            parse_url(address)
        assert "s3cret" not in str(caught.value)
    with pytest.raises(UsageError, match="lacks a slash"):
        parse_url("s3:/lake/x")


def test_https_to_a_plain_server_isnt_called_a_matter_of_trust(
    s3_url: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint.replace("http:", "https:"))
    with pytest.raises(LakeUnreachable, match="doesn't speak https"):
        open_s3(s3_url).read("lake.json")


@pytest.mark.parametrize("what", ["/blobs/", ".parquet"])
def test_a_put_on_a_slow_line_shows_life(
    what: str, home: Home, proxy: Proxy, tmp_path: Path
) -> None:
    """A shipper that said nothing for two minutes was killed, and began the same put again."""
    produce(home, tmp_path / "ledger", big(2 * MIB))
    told = 0

    def tell(_: object) -> None:
        nonlocal told
        told += writes(proxy.seen[-1], what)  # while it is the last that was asked for

    slow = Fault(slow=3.5 if what == ".parquet" else 0.15)  # a few seconds each
    proxy.plan(lambda request: slow if writes(request, what) else None)
    assert not Shipper.of(home).run_once(tell).errors
    assert told > 1
    proxy.plan(None)
    assert_whole(home, ledger=tmp_path / "ledger")
