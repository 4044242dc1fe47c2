"""Makes one StatefulSet for each shard, with the tokens of its tenants and no others. Pure.

All pods of a StatefulSet have the same template, and so the same volumes. With one for each shard,
the volume of tokens names the keys of the shard's own tenants.
"""

import copy
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from prober.config.file_checks import secret_source
from prober.config.sharding import assign_shards
from prober.models import Tenant, TokenSourceKind

Resource = dict[str, Any]
SHARD_LABEL = "prober/shard"
_HASH_DIGITS = 10
_SECRET_KEY = re.compile(r"(?!\.\.)[A-Za-z0-9._-]{1,253}")
_FROM_INDEX = frozenset({"SHARDS", "POD_INDEX"})


class ForeignTokenError(ValueError):
    """A token is not a file of the mounted secret; the text says which."""


def shard_objects(
    template: Resource, tenants: Sequence[Tenant], shards: int, text: str, image: str | None
) -> list[Resource]:
    """Return a ConfigMap with the configuration `text`, and a StatefulSet for each shard.

    `template` is the StatefulSet of all shards. The ConfigMap's name contains a hash, so that a
    changed configuration restarts the pods. A shard without tenants gets a StatefulSet too: it
    is idle, and exports metrics. Raises ForeignTokenError.
    """
    configuration = f"prober-{hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS]}"
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": configuration, "labels": dict(template["metadata"]["labels"])},
        "data": {"prober.yaml": text},
    }
    owners = assign_shards(tenants, shards)
    sets = []
    for shard in range(shards):
        own = [tenant for tenant in tenants if owners[tenant.name] == shard]
        sets.append(_stateful_set(template, f"{shard}/{shards}", own, configuration, image))
    return [config_map, *sets]


def _stateful_set(
    template: Resource, shard: str, tenants: Sequence[Tenant], configuration: str, image: str | None
) -> Resource:
    resource: Resource = copy.deepcopy(template)
    index = shard.partition("/")[0]
    resource["metadata"]["name"] = f"{template['metadata']['name']}-shard-{index}"
    spec, pod = resource["spec"], resource["spec"]["template"]
    spec["replicas"] = 1
    for labels in (
        resource["metadata"]["labels"],
        pod["metadata"]["labels"],
        spec["selector"]["matchLabels"],
    ):
        labels[SHARD_LABEL] = index
    (container,) = pod["spec"]["containers"]
    container["args"] = [*container["args"][:-1], shard]
    container["env"] = [each for each in container["env"] if each["name"] not in _FROM_INDEX]
    if image is not None:
        container["image"] = image
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    for volume in pod["spec"]["volumes"]:
        if volume["name"] == "configuration":
            volume["configMap"]["name"] = configuration
    _mount_tokens(pod["spec"], container, token_keys(tenants, mounts["tokens"]))
    return resource


def _mount_tokens(pod: Resource, container: Resource, keys: Sequence[str]) -> None:
    for volume in pod["volumes"]:
        if volume["name"] == "tokens":
            volume["secret"]["items"] = [{"key": key, "path": key} for key in keys]
    if not keys:  # to Kubernetes an empty list means all keys
        pod["volumes"] = [each for each in pod["volumes"] if each["name"] != "tokens"]
        container["volumeMounts"] = [
            each for each in container["volumeMounts"] if each["name"] != "tokens"
        ]


def token_keys(tenants: Sequence[Tenant], directory: str) -> list[str]:
    """Return the keys of the secret that tenants need; raises ForeignTokenError."""
    keys = set()
    for tenant in tenants:
        _, source = secret_source(tenant)
        path = PurePosixPath(source.location)
        if source.kind is not TokenSourceKind.FILE or str(path.parent) != directory:
            raise ForeignTokenError(
                f"the token of '{tenant.name}' is {source}: write"
                f" 'token: {{file: {directory}/{tenant.name}}}'"
            )
        if path.name == "." or not _SECRET_KEY.fullmatch(path.name):
            raise ForeignTokenError(
                f"the token of '{tenant.name}' is {source}: a key of a Kubernetes secret has"
                " letters, digits, '-', '_' and '.', at most 253, and does not begin with '..'"
            )
        keys.add(path.name)
    return sorted(keys)


def secret_keys(objects: Sequence[Mapping[str, Any]]) -> Mapping[str, list[str]]:
    """Return the keys that each StatefulSet mounts, by its name."""
    return {
        each["metadata"]["name"]: [
            item["key"]
            for volume in each["spec"]["template"]["spec"]["volumes"]
            for item in volume.get("secret", {}).get("items", [])
        ]
        for each in objects
        if each["kind"] == "StatefulSet"
    }
