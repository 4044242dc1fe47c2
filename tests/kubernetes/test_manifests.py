"""The manifests are what Kubernetes takes, and agree with the prober and its rules."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from prober.config.loader import load
from tests.kubernetes.rendering import Resource, rendered

KUBERNETES = Path(__file__).parents[2] / "config" / "kubernetes"
PLACES = {path.name: path for path in sorted((KUBERNETES / "overlays").iterdir())}
OLDEST, NEWEST = "1.28", kubernetes_validate.latest_version()
POD_MONITOR = json.loads(Path(__file__).with_name("pod-monitor.schema.json").read_text())
KINDS = {
    "ConfigMap",
    "Namespace",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "PodMonitor",
    "Service",
    "ServiceAccount",
    "StatefulSet",
}

Manifests = dict[tuple[str, str], Resource]


@pytest.fixture(params=PLACES)
def manifests(request: pytest.FixtureRequest) -> Manifests:
    return rendered(PLACES[request.param])


def one(manifests: Manifests, kind: str) -> Resource:
    (found,) = (resource for (each, _), resource in manifests.items() if each == kind)
    return found


def pod_of(manifests: Manifests) -> dict[str, Any]:
    spec: dict[str, Any] = one(manifests, "StatefulSet")["spec"]["template"]["spec"]
    return spec


def container_of(manifests: Manifests) -> dict[str, Any]:
    container: dict[str, Any]
    (container,) = pod_of(manifests)["containers"]
    return container


def variable(manifests: Manifests, name: str) -> dict[str, Any]:
    return next(each for each in container_of(manifests)["env"] if each["name"] == name)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_takes_every_resource(manifests: Manifests, version: str) -> None:
    assert {kind for kind, _ in manifests} == KINDS
    for (kind, _), resource in manifests.items():
        if kind == "PodMonitor":  # a custom resource: its shape is kept here by hand
            jsonschema.validate(resource, POD_MONITOR)
        else:
            kubernetes_validate.validate(resource, version, strict=True)


def test_a_mistake_is_found(manifests: Manifests) -> None:
    stateful_set = one(manifests, "StatefulSet")
    stateful_set["spec"]["replica"] = 3
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(stateful_set, NEWEST, strict=True)
    pod_monitor = one(manifests, "PodMonitor")
    pod_monitor["spec"]["podMetricsEndpoints"][0]["targetPort"] = "web"
    with pytest.raises(jsonschema.ValidationError, match="targetPort"):
        jsonschema.validate(pod_monitor, POD_MONITOR)


def test_a_pod_may_do_nothing_that_it_need_not(manifests: Manifests) -> None:
    pod, container = pod_of(manifests), container_of(manifests)
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    (tokens,) = (each["secret"] for each in pod["volumes"] if "secret" in each)
    assert tokens["defaultMode"] & 0o007 == 0
    labels = one(manifests, "Namespace")["metadata"]["labels"]
    assert labels == {"pod-security.kubernetes.io/enforce": "restricted"}


def test_every_pod_has_a_shard_of_as_many_as_there_are_pods(manifests: Manifests) -> None:
    container = container_of(manifests)
    assert container["args"][-2:] == ["--shard", "$(POD_INDEX)/$(SHARDS)"]
    replicas = one(manifests, "StatefulSet")["spec"]["replicas"]
    assert variable(manifests, "SHARDS")["value"] == str(replicas)
    index = variable(manifests, "POD_INDEX")["valueFrom"]["fieldRef"]["fieldPath"]
    assert index == "metadata.labels['apps.kubernetes.io/pod-index']"


def test_the_prober_is_found_where_it_listens_and_called_as_the_rules_have_it(
    manifests: Manifests, tmp_path: Path
) -> None:
    file = tmp_path / "prober.yaml"
    file.write_text(one(manifests, "ConfigMap")["data"]["prober.yaml"])
    configuration = load(file)
    container = container_of(manifests)
    (port,) = container["ports"]
    assert (configuration.web.host, configuration.web.port) == ("", port["containerPort"])
    for name, path in {
        "startupProbe": "/-/healthy",
        "livenessProbe": "/-/healthy",
        "readinessProbe": "/-/ready",
    }.items():
        assert container[name]["httpGet"] == {"path": path, "port": port["name"]}
    (endpoint,) = one(manifests, "PodMonitor")["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] == port["name"]
    label = one(manifests, "PodMonitor")["spec"]["jobLabel"]
    assert one(manifests, "StatefulSet")["spec"]["template"]["metadata"]["labels"][label] == (
        "prober"
    )


def test_every_selector_selects_the_pods(manifests: Manifests) -> None:
    spec = one(manifests, "StatefulSet")["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert one(manifests, "Service")["spec"]["selector"] == labels
    assert one(manifests, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == labels
    for kind in ("StatefulSet", "PodDisruptionBudget", "PodMonitor"):
        assert one(manifests, kind)["spec"]["selector"]["matchLabels"] == labels
    assert spec["serviceName"] == one(manifests, "Service")["metadata"]["name"]


def test_tokens_and_state_are_where_the_prober_looks(manifests: Manifests, tmp_path: Path) -> None:
    file = tmp_path / "prober.yaml"
    file.write_text(one(manifests, "ConfigMap")["data"]["prober.yaml"])
    mounts = {each["name"]: each["mountPath"] for each in container_of(manifests)["volumeMounts"]}
    for tenant in load(file).tenants:
        assert Path(tenant.token.location).parent == Path(mounts["tokens"])
    (claim,) = one(manifests, "StatefulSet")["spec"]["volumeClaimTemplates"]
    state = Path(variable(manifests, "STATE_DIRECTORY")["value"])
    assert state.parent == Path(mounts[claim["metadata"]["name"]])


@pytest.mark.parametrize("place", PLACES)
def test_a_location_is_a_label_of_the_scrape(place: str) -> None:
    (endpoint,) = one(rendered(PLACES[place]), "PodMonitor")["spec"]["podMetricsEndpoints"]
    location, instance = endpoint["relabelings"]
    assert location == {"targetLabel": "location", "replacement": place}
    assert instance["sourceLabels"][0] == "location"


def test_locations_differ_in_nothing_else_but_the_number_of_shards() -> None:
    def without(place: str) -> Manifests:
        found = rendered(PLACES[place])
        one(found, "PodMonitor")["spec"]["podMetricsEndpoints"][0]["relabelings"].pop(0)
        one(found, "StatefulSet")["spec"].pop("replicas")
        variable(found, "SHARDS").pop("value")
        return found

    assert without("frankfurt") == without("dublin")
    assert len(PLACES) == 2


def test_the_namespace_lets_in_prometheus_alone(manifests: Manifests) -> None:
    policy = one(manifests, "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    ((rule,), (port,)) = policy["ingress"][0]["from"], policy["ingress"][0]["ports"]
    assert rule == {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}
    }
    assert port["port"] == container_of(manifests)["ports"][0]["name"]


def test_no_manifest_holds_a_secret() -> None:
    for path in KUBERNETES.rglob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            assert document.get("kind") != "Secret", path
