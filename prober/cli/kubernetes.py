"""`prober kubernetes`: prints Kubernetes objects for shards with their own tokens alone."""

from importlib.resources import files
from pathlib import Path

import click
import yaml

from prober.cli.options import config_option
from prober.config.includes import real_path
from prober.config.loader import load
from prober.config.yaml import read_text
from prober.kubernetes.objects import ForeignTokenError, secret_keys, shard_objects
from prober.models import MAX_SHARDS


@click.command()
@config_option
@click.option(
    "--shards", type=click.IntRange(1, MAX_SHARDS), required=True, help="The number of shards."
)
@click.option("--image", help="The image; without it, that of config/kubernetes/base.")
def kubernetes(config_file: Path, shards: int, image: str | None) -> None:
    """Print a ConfigMap, and a StatefulSet for each shard, as YAML for kubectl.

    The StatefulSet of config/kubernetes/base mounts all tokens into each pod. Those that this
    prints mount only the tokens of the shard's own tenants, from the same secret. Everything else
    of the base stays: in its kustomization, replace stateful-set.yaml and the configMapGenerator by
    the file that this prints. The ConfigMap's name contains a hash, so that pods restart when
    the configuration changes.

    Which pod mounts which key is printed to standard error.

    \b
    Example:
      prober kubernetes --config prober.yaml --shards 3 >config/kubernetes/base/shards.yaml

    Exit status: 0; 2 for an invalid command line or configuration.
    """
    text = read_text(config_file)
    configuration = load(config_file, texts={real_path(config_file): text})
    if len(configuration.sources.files) > 1 or configuration.sources.patterns:
        raise click.UsageError(
            f"{config_file} includes other files, and the ConfigMap has this file alone: write"
            " all tenants into one file"
        )
    template = yaml.safe_load(files("prober.kubernetes").joinpath("stateful-set.yaml").read_text())
    try:
        objects = shard_objects(template, configuration.tenants, shards, text, image)
    except ForeignTokenError as error:
        raise click.UsageError(str(error)) from error
    click.echo(yaml.safe_dump_all(objects, sort_keys=False, width=100), nl=False)
    for name, keys in secret_keys(objects).items():
        click.echo(f"{name}: {' '.join(keys) or 'no tenants (idle)'}", err=True)
