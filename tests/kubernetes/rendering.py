"""As much of kustomize as config/kubernetes uses; what it does not know, it refuses.

That `kustomize build` says the same was seen by hand, see docs/how-to/shards-and-locations.md.
"""

import copy
from pathlib import Path
from typing import Any

import yaml

Resource = dict[str, Any]
_HEADER = {"apiVersion", "kind"}
_KNOWN = _HEADER | {"namespace", "resources", "configMapGenerator", "components", "patches"}
_WITHOUT_NAMESPACE = {"Namespace"}


def rendered(directory: Path) -> dict[tuple[str, str], Resource]:
    """Return the resources of a kustomization by kind and name."""
    content = yaml.safe_load((directory / "kustomization.yaml").read_text())
    assert set(content) <= _KNOWN, content
    found: dict[tuple[str, str], Resource] = {}
    for name in content.get("resources", []):
        path = directory / name
        if path.is_dir():
            found |= rendered(path)
        else:
            found |= {_key(each): each for each in yaml.safe_load_all(path.read_text())}
    for generator in content.get("configMapGenerator", []):
        made = _config_map(generator, directory)
        found[_key(made)] = made
    for resource in found.values():
        if "namespace" in content and resource["kind"] not in _WITHOUT_NAMESPACE:
            resource["metadata"]["namespace"] = content["namespace"]
    for name in content.get("components", []):
        with_component(found, directory / name)
    _patch(content, found)
    return found


def with_component(
    found: dict[tuple[str, str], Resource], directory: Path
) -> dict[tuple[str, str], Resource]:
    """Apply a component to resources, and return them."""
    content = yaml.safe_load((directory / "kustomization.yaml").read_text())
    assert content["kind"] == "Component"
    assert set(content) == _HEADER | {"patches"}, content
    _patch(content, found)
    return found


def _patch(content: dict[str, Any], found: dict[tuple[str, str], Resource]) -> None:
    for patch in content.get("patches", []):
        assert set(patch) == {"target", "patch"}, patch
        assert set(patch["target"]) == {"kind", "name"}, patch
        target = found[patch["target"]["kind"], patch["target"]["name"]]
        for operation in yaml.safe_load(patch["patch"]):
            _apply(operation, target)


def _key(resource: Resource) -> tuple[str, str]:
    return resource["kind"], resource["metadata"]["name"]


def _config_map(generator: dict[str, Any], directory: Path) -> Resource:
    assert set(generator) == {"name", "files", "options"}, generator
    options = dict(generator["options"])
    assert options.pop("disableNameSuffixHash") is True, generator
    data = {Path(name).name: (directory / name).read_text() for name in generator["files"]}
    metadata = {"name": generator["name"], **options}
    assert set(options) <= {"labels"}, generator
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _apply(operation: dict[str, Any], target: Any) -> None:  # noqa: ANN401 -- any part of YAML
    """Apply one operation of RFC 6902: add or replace."""
    assert set(operation) == {"op", "path", "value"}, operation
    *parents, last = operation["path"].strip("/").split("/")
    for part in parents:
        target = target[int(part)] if isinstance(target, list) else target[part]
    value = copy.deepcopy(operation["value"])
    match operation["op"], target:
        case "add", list():
            target.insert(int(last), value)
        case "replace", list():
            target[int(last)] = value
        case "add", dict():
            target[last] = value
        case "replace", dict():
            assert last in target, operation
            target[last] = value
        case _:
            raise AssertionError(operation)
