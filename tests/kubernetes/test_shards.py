"""`prober kubernetes`, and the components of the manifests: TLS, and DNS elsewhere."""

from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner

from prober.cli.main import main
from prober.config.loader import load
from prober.config.sharding import assign_shards
from tests.kubernetes.rendering import Resource, rendered, with_component
from tests.kubernetes.test_manifests import (
    KUBERNETES,
    NEWEST,
    OLDEST,
    POD_MONITOR,
    Manifests,
    container_of,
    one,
    pod_of,
)

ROOT = Path(__file__).parents[2]
BASE = KUBERNETES / "base" / "prober.yaml"
TEMPLATE = ROOT / "prober" / "kubernetes" / "stateful-set.yaml"


def printed(file: Path, shards: int, *options: str) -> list[Resource]:
    command = ["kubernetes", "--config", str(file), "--shards", str(shards), *options]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    return list(yaml.safe_load_all(done.stdout))


def keys(stateful_set: Resource) -> set[str]:
    volumes = stateful_set["spec"]["template"]["spec"]["volumes"]
    found = [each for each in volumes if each["name"] == "tokens"]
    return {item["key"] for each in found for item in each["secret"]["items"]}


def test_the_template_is_that_of_the_base() -> None:
    base = KUBERNETES / "base" / "stateful-set.yaml"
    assert TEMPLATE.read_text() == base.read_text(), f"run: cp {base} {TEMPLATE}"


@pytest.mark.parametrize("shards", [1, 2, 3, 7])
def test_a_pod_holds_the_tokens_of_its_own_tenants_alone(shards: int) -> None:
    owners = assign_shards(load(BASE).tenants, shards)
    config_map, *sets = printed(BASE, shards)
    assert config_map["data"] == {"prober.yaml": BASE.read_text()}
    assert len(sets) == shards
    for index, each in enumerate(sets):
        assert each["metadata"]["name"] == f"prober-shard-{index}"
        assert keys(each) == {name for name, owner in owners.items() if owner == index}
        (container,) = each["spec"]["template"]["spec"]["containers"]
        assert container["args"][-2:] == ["--shard", f"{index}/{shards}"]
        assert {one["name"] for one in container["env"]} == {"STATE_DIRECTORY"}
        mounted = {one["name"] for one in container["volumeMounts"]}
        assert ("tokens" in mounted) is bool(keys(each))


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_takes_what_is_printed(version: str) -> None:
    for each in printed(BASE, 7, "--image", "registry.example/prober:1"):
        kubernetes_validate.validate(each, version, strict=True)
        if each["kind"] == "StatefulSet":
            labels = each["spec"]["template"]["metadata"]["labels"]
            assert labels == each["spec"]["selector"]["matchLabels"]
            assert labels["app.kubernetes.io/name"] == "prober"  # what the base selects
            (container,) = each["spec"]["template"]["spec"]["containers"]
            assert container["image"] == "registry.example/prober:1"


def test_a_changed_configuration_restarts_the_pods(tmp_path: Path) -> None:
    def name(stateful_set: Resource) -> str:
        (volume,) = (
            each
            for each in stateful_set["spec"]["template"]["spec"]["volumes"]
            if each["name"] == "configuration"
        )
        found: str = volume["configMap"]["name"]
        return found

    changed = tmp_path / "prober.yaml"
    changed.write_text(BASE.read_text() + "# changed\n")
    names = set()
    for file in (BASE, changed):
        config_map, stateful_set = printed(file, 1)
        assert name(stateful_set) == config_map["metadata"]["name"]
        names.add(name(stateful_set))
    assert len(names) == 2


@pytest.mark.parametrize("token", ["{env: LAB}", "{file: /etc/lab}", "{file: lab}"])
def test_a_token_from_elsewhere_is_refused(tmp_path: Path, token: str) -> None:
    file = tmp_path / "prober.yaml"
    file.write_text(f"tenants: [{{name: lab, domain: lab, token: {token}}}]\n")
    done = CliRunner().invoke(main, ["kubernetes", "--config", str(file), "--shards", "2"])
    assert done.exit_code == 2
    assert "write 'token: {file: /run/secrets/prober/lab}'" in done.stderr


@pytest.mark.parametrize("name", ["a b", "..", "..a", "\\e]0;x\\a", "\u00e9", "a" * 254, "a: {b}"])
def test_a_token_file_that_is_no_key_of_a_secret_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / "prober.yaml"
    token = f'{{file: "/run/secrets/prober/{name}"}}'
    file.write_text(f"tenants: [{{name: lab, domain: lab, token: {token}}}]\n")
    done = CliRunner().invoke(main, ["kubernetes", "--config", str(file), "--shards", "2"])
    assert done.exit_code == 2
    assert "a key of a Kubernetes secret" in done.stderr
    assert not {"\x1b", "\a"} & set(done.output)
    assert done.stdout == ""


def test_the_longest_key_of_a_secret_is_printed(tmp_path: Path) -> None:
    file, name = tmp_path / "prober.yaml", "A-._" + "9" * 249
    token = f"{{file: /run/secrets/prober/{name}}}"
    file.write_text(f"tenants: [{{name: lab, domain: lab, token: {token}}}]\n")
    assert keys(printed(file, 1)[1]) == {name}


@pytest.mark.parametrize("pattern", ["more.yaml", "tenants.d/*.yaml"])
def test_included_files_are_refused_as_a_config_map_has_one(tmp_path: Path, pattern: str) -> None:
    file = tmp_path / "prober.yaml"
    (tmp_path / "more.yaml").write_text("")
    file.write_text(f"include: {pattern}\n{BASE.read_text()}")
    done = CliRunner().invoke(main, ["kubernetes", "--config", str(file), "--shards", "2"])
    assert done.exit_code == 2
    assert "includes other files" in done.stderr


HOSTILE = "x: {y: 1}\n---\nkind: ClusterRoleBinding\n# \t\u2028'\"%@`"


def test_nothing_of_a_configuration_becomes_an_object(tmp_path: Path) -> None:
    file = tmp_path / "prober.yaml"
    comment = "".join(f"#{line}\n" for line in HOSTILE.splitlines())
    file.write_text(f"{BASE.read_text()}{comment}")
    config_map, *sets = printed(file, 2, "--image", HOSTILE)
    assert config_map["data"] == {"prober.yaml": file.read_text()}
    assert [each["kind"] for each in sets] == ["StatefulSet"] * 2
    for each in sets:
        assert each["spec"]["template"]["spec"]["containers"][0]["image"] == HOSTILE


def with_parts(*names: str) -> Manifests:
    found = rendered(KUBERNETES / "overlays" / "frankfurt")
    for name in names:
        with_component(found, KUBERNETES / "components" / name)
    return found


COMPONENTS = sorted(path.name for path in (KUBERNETES / "components").iterdir())


@pytest.mark.parametrize("component", COMPONENTS)
def test_kubernetes_takes_every_component(component: str) -> None:
    assert component in (ROOT / "docs/how-to/kubernetes.md").read_text()
    for (kind, _), resource in with_parts(component).items():
        if kind == "PodMonitor":
            jsonschema.validate(resource, POD_MONITOR)
        else:
            kubernetes_validate.validate(resource, NEWEST, strict=True)


def test_with_tls_everybody_speaks_tls() -> None:
    manifests = with_parts("tls")
    container = container_of(manifests)
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[name]["httpGet"]["scheme"] == "HTTPS"
    assert container["args"] == [
        "run",
        "--config",
        "/etc/prober/prober.yaml",
        "--web-config-file=/etc/prober-web/web.yml",
        "--shard",
        "$(POD_INDEX)/$(SHARDS)",
    ]
    assert "/etc/prober-web" in [each["mountPath"] for each in container["volumeMounts"]]
    assert {"secretName": "prober-web", "defaultMode": 0o440} in [
        each.get("secret") for each in pod_of(manifests)["volumes"]
    ]
    (endpoint,) = one(manifests, "PodMonitor")["spec"]["podMetricsEndpoints"]
    assert (endpoint["scheme"], endpoint["tlsConfig"]["serverName"]) == ("https", "prober")


def test_dns_is_allowed_where_the_cluster_serves_it() -> None:
    local = one(with_parts("dns-node-local"), "NetworkPolicy")["spec"]["egress"][0]
    assert {"ipBlock": {"cidr": "169.254.20.10/32"}} in local["to"]
    assert {each["port"] for each in local["ports"]} == {53}
    elsewhere = one(with_parts("dns-openshift"), "NetworkPolicy")["spec"]["egress"][0]
    assert {each["port"] for each in elsewhere["ports"]} == {5353}


def test_a_pod_says_how_much_of_the_node_it_needs() -> None:
    resources = container_of(with_parts())["resources"]
    assert resources["requests"].keys() == {"cpu", "memory", "ephemeral-storage"}
    assert resources["limits"].keys() == {"memory", "ephemeral-storage"}
