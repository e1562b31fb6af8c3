"""``deploy/compose.yaml``: the schema, each service's promises, and no secret in a file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from lifelog_lake import __version__
from lifelog_lake.config import Settings, environment_name

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SCHEMA = json.loads((ROOT / "tests" / "data" / "compose-spec.schema.json").read_text("utf-8"))
FILES = ("compose.yaml", "compose.caddy.yaml", "compose.traefik.yaml")
VALIDATOR = jsonschema.validators.validator_for(SCHEMA)(SCHEMA)
#: ``${NAME}``, ``${NAME:-default}``, ``${NAME:?what to do}``; ``$$`` is a dollar.
VARIABLE = re.compile(r"(?<!\$)\$(?:\{(?P<name>\w+)(?P<how>:[-?][^}]*)?\}|(?P<bare>\w+))")
OURS = "lifelog-lake:{version}"
LOOPBACK = "127.0.0.1:"

#: Image, ports, volumes, the variables of .env that reach it, and what its health check asks.
SERVICES: dict[str, dict[str, Any]] = {
    "hub": {
        "image": OURS,
        "ports": ["${HUB_BIND:-0.0.0.0}:${HUB_PORT:-8899}:8899"],
        "volumes": ["hub:/data"],
        "variables": {"ADMIN_PASSWORD", "ALERTS_NOTIFY", "ALERTS_PING_URL", "HUB_BIND",
                      "HUB_PORT", "HUB_URL", "LAKE_BUCKET", "LAKE_PREFIX", "RUSTFS_ACCESS_KEY",
                      "RUSTFS_SECRET_KEY", "TZ"},
        "health": "127.0.0.1:8899/api'",
    },
    "bucket": {
        "image": OURS,
        "ports": [],
        "volumes": ["hub:/data"],
        "variables": {"LAKE_BUCKET", "LAKE_PREFIX", "RUSTFS_ACCESS_KEY", "RUSTFS_SECRET_KEY",
                      "TZ"},
        "health": None,
    },
    "rustfs": {
        "image": "rustfs/rustfs:1.0.0",
        "ports": ["127.0.0.1:9000:9000", "127.0.0.1:9001:9001"],
        "volumes": ["rustfs:/data"],
        "variables": {"RUSTFS_ACCESS_KEY", "RUSTFS_SECRET_KEY"},
        "health": "http://127.0.0.1:9000/health",
    },
    "prefect": {
        "image": OURS,
        "ports": ["127.0.0.1:4200:4200"],
        "volumes": [],
        "variables": {"POSTGRES_PASSWORD", "PREFECT_PASSWORD"},
        "health": "127.0.0.1:4200/api/health'",
    },
    "deploy": {
        "image": OURS,
        "ports": [],
        "volumes": [],
        "variables": {"PREFECT_PASSWORD"},
        "health": None,
    },
    "worker": {
        "image": OURS,
        "ports": [],
        "volumes": ["worker:/data"],
        "variables": {"ALERTS_NOTIFY", "ALERTS_PING_URL", "LAKE_BUCKET", "LAKE_PREFIX",
                      "PREFECT_PASSWORD", "RUSTFS_ACCESS_KEY", "RUSTFS_SECRET_KEY", "TZ"},
        "health": "127.0.0.1:8081/health'",
    },
    "shipper": {
        "image": OURS,
        "ports": [],
        "volumes": ["worker:/data"],
        "variables": {"LAKE_BUCKET", "LAKE_PREFIX", "RUSTFS_ACCESS_KEY", "RUSTFS_SECRET_KEY",
                      "TZ"},
        "health": "127.0.0.1:8770/healthz'",
    },
    "postgres": {
        "image": "postgres:15.18",
        "ports": [],
        "volumes": ["postgres:/var/lib/postgresql/data"],
        "variables": {"POSTGRES_PASSWORD"},
        "health": "pg_isready",
    },
    "pgadmin": {
        "image": "dpage/pgadmin4:9.18",
        "ports": ["127.0.0.1:8080:80"],
        "volumes": ["pgadmin:/var/lib/pgadmin",
                    "./pgadmin-servers.json:/pgadmin4/servers.json:ro"],
        "variables": {"PGADMIN_EMAIL", "PGADMIN_PASSWORD"},
        "health": "127.0.0.1:80/misc/ping",
    },
}  # fmt: skip
#: Run once, then nothing.
ONCE = {"bucket", "deploy"}


class Loader(yaml.SafeLoader):
    """Knows compose's tags, which say how a second file changes the first."""


Loader.add_constructor("!override", lambda loader, node: loader.construct_sequence(node))


def read(name: str) -> dict[str, Any]:
    """A file of deploy/ with its anchors resolved."""
    found: dict[str, Any] = yaml.load((DEPLOY / name).read_text("utf-8"), Loader)
    return found


def variables(part: Any) -> Iterator[str]:
    """The names of all variables in a part of a file."""
    for match in VARIABLE.finditer(json.dumps(part)):
        yield match["name"] or match["bare"]


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = read("compose.yaml")["services"]
    return found


@pytest.mark.parametrize("name", FILES)
def test_it_is_as_the_specification_says(name: str) -> None:
    VALIDATOR.validate(read(name))


def test_the_schema_refuses_what_is_wrong() -> None:
    wrong = read("compose.yaml")
    wrong["services"]["hub"]["imagee"] = "x"
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(wrong)


def test_these_are_all_services(services: dict[str, Any]) -> None:
    assert set(services) == set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_image_ports_volumes_variables_and_health(name: str, services: dict[str, Any]) -> None:
    service, promised = services[name], SERVICES[name]
    assert service["image"] == promised["image"].format(version=__version__)
    assert service.get("ports", []) == promised["ports"]
    assert service.get("volumes", []) == promised["volumes"]
    assert set(variables(service)) == promised["variables"]
    health = service["healthcheck"]
    if promised["health"] is None:
        assert health == {"disable": True}
        assert service["restart"] == "no"
        assert name in ONCE
    else:
        assert promised["health"] in " ".join(health["test"])
        assert {"interval", "timeout", "start_period", "retries"} < set(health)
        assert service["restart"] == "unless-stopped"


def test_only_the_hubs_port_is_public(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if name != "hub":
            assert all(port.startswith(LOOPBACK) for port in service.get("ports", [])), name
        assert service.get("network_mode") is None
        assert not service.get("privileged")


def test_every_version_is_pinned(services: dict[str, Any]) -> None:
    images = [service["image"] for service in services.values()]
    images += [read("compose.caddy.yaml")["services"]["caddy"]["image"]]
    images += [read("compose.traefik.yaml")["services"]["traefik"]["image"]]
    image = (DEPLOY / "Containerfile").read_text("utf-8")
    images += re.findall(r"^FROM (\S+)", image, re.MULTILINE)
    for image in images:
        assert re.search(r":v?\d+(\.\d+)+(-\w+)?$", image), image


def test_no_container_has_more_than_it_needs(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        if name == "pgadmin":  # compose.yaml says why
            continue
        assert service["read_only"], name
        assert not re.match(r"0(:|$)|root", service["user"]), name
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "cap_add" not in service


def test_data_is_in_named_volumes(services: dict[str, Any]) -> None:
    named = set(read("compose.yaml")["volumes"])
    used = {
        volume.split(":")[0]
        for service in services.values()
        for volume in service.get("volumes", [])
        if not volume.startswith("./")
    }
    assert used == named


def test_who_reaches_whom(services: dict[str, Any]) -> None:
    networks = read("compose.yaml")["networks"]
    assert networks["lake"]["internal"]
    assert networks["flows"]["internal"]
    reaches = {name: set(service["networks"]) for name, service in services.items()}
    assert reaches["pgadmin"] & reaches["postgres"]
    assert reaches["prefect"] & reaches["postgres"]
    assert reaches["hub"] & reaches["worker"] & reaches["rustfs"] == {"lake"}
    assert not reaches["hub"] & reaches["postgres"]
    # A port is opened on a network that isn't internal only.
    for name, service in services.items():
        if service.get("ports"):
            assert any(not (networks[each] or {}).get("internal") for each in reaches[name]), name
    (server,) = json.loads((DEPLOY / "pgadmin-servers.json").read_text())["Servers"].values()
    environment = services["postgres"]["environment"]
    assert server["Host"] == "postgres"
    assert server["Port"] == 5432
    assert server["Username"] == environment["POSTGRES_USER"]
    assert server["MaintenanceDB"] == environment["POSTGRES_DB"]
    assert "Password" not in server


def test_what_the_worker_has_to_tell_gets_out(services: dict[str, Any]) -> None:
    """`health` writes alerts into the worker's spool, and sends messages: somebody ships that
    spool, and a network leads out."""
    worker, shipper = services["worker"], services["shipper"]
    assert shipper["command"] == ["collect"]
    assert shipper["volumes"] == worker["volumes"]
    for name in ("LIFELOG_DEVICE__NAME", "LIFELOG_LAKE__URL"):
        assert shipper["environment"][name] == worker["environment"][name]
    assert worker["depends_on"]["shipper"] == {"condition": "service_healthy"}
    networks = read("compose.yaml")["networks"]
    assert any(not (networks[name] or {}).get("internal") for name in worker["networks"])
    for name in ("hub", "worker"):
        assert "LIFELOG_ALERTS__NOTIFY" in services[name]["environment"]
    listens = Settings.model_validate({}).health.listen
    assert f"http://{listens}/healthz" in " ".join(shipper["healthcheck"]["test"])


def test_our_variables_are_settings(services: dict[str, Any]) -> None:
    known = {"LIFELOG_HOME", "LIFELOG_COLLECTORS__SCREEN__ENABLED"}
    for section, field in Settings.model_fields.items():
        for key in getattr(field.annotation, "model_fields", {}):
            known.add(environment_name((section, key)))
    image = (DEPLOY / "Containerfile").read_text("utf-8")
    used = set(re.findall(r"\b(LIFELOG_\w+)=", image))
    for service in services.values():
        used |= {name for name in service["environment"] if name.startswith("LIFELOG_")}
    unknown = {name for name in used if not name.startswith("LIFELOG_COLLECTORS__")} - known
    assert not unknown
    assert services["hub"]["environment"]["LIFELOG_FLOWS__ENABLED"] == "false"
    for collector in ("SCREEN", "AUDIO", "ACTIVITYWATCH"):
        assert f"LIFELOG_COLLECTORS__{collector}__ENABLED=false" in image


def example() -> dict[str, str]:
    """``.env.example``."""
    lines = (DEPLOY / ".env.example").read_text("utf-8").splitlines()
    found = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert len(found) == sum(bool(line) and not line.startswith("#") for line in lines), "twice"
    return found


def test_each_variable_of_the_example_is_used_and_each_used_one_is_there() -> None:
    used: set[str] = set()
    for name in FILES:
        used |= set(variables(read(name)))
    # What Caddy and Traefik read is handed to them by their own files.
    inner = set(re.findall(r"\{\$(\w+)\}", (DEPLOY / "Caddyfile").read_text("utf-8")))
    inner |= set(re.findall(r'\{\{env "(\w+)"\}\}', (DEPLOY / "traefik.yaml").read_text("utf-8")))
    assert inner <= used
    assert set(example()) == used


def test_each_variable_of_the_example_has_a_comment() -> None:
    commented = False
    for line in (DEPLOY / ".env.example").read_text("utf-8").splitlines():
        if line.startswith("#") or not line:
            commented = line.startswith("# ") and not line.startswith("# ---")
        else:
            assert commented, line


def test_no_secret_is_in_a_file(services: dict[str, Any]) -> None:
    values = example()
    for name, value in values.items():
        if re.search("PASSWORD|KEY|EMAIL", name):
            assert value == "", name
    for service in services.values():
        for name, value in service["environment"].items():
            if re.search(r"PASSWORD|SECRET|ACCESS_KEY|AUTH_STRING|CONNECTION_URL", name):
                assert VARIABLE.search(str(value)), name
                # Without it nothing starts: no default that everybody knows.
                assert ":?" in str(value), name


def test_the_env_file_is_never_committed_or_sent_to_the_builder() -> None:
    assert "*.env" in (ROOT / ".gitignore").read_text().splitlines()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    assert not any(line in ("!deploy", "!.", "!*") for line in ignored)


def test_the_builder_sees_all_that_the_containerfile_copies() -> None:
    seen = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    text = (DEPLOY / "Containerfile").read_text("utf-8")
    for line in re.findall(r"^COPY (?!--from)(.+)", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert any(source == one or source.startswith(f"{one}/") for one in seen), source


def test_the_image_isnt_root_and_says_how_it_is() -> None:
    text = (DEPLOY / "Containerfile").read_text("utf-8")
    last = text.rsplit("\nFROM ", 1)[1]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK .*\\\n +CMD .*8899/api", last, re.MULTILINE)
    assert "PYTHONSAFEPATH=1" in last
    assert "--require-hashes" in text
