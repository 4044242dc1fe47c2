"""`include`, merge keys, `x-` keys, `defaults.probes` and probe sets, through `load`."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from prober.config.includes import MAX_FILES, MAX_INCLUDE_DEPTH
from prober.config.loader import load
from prober.config.resolve import Config
from prober.errors import SettingsError
from prober.file_signature import sources_signature

ACME = "tenants: [{name: acme, domain: acme, token: {file: acme.token}}]\n"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("PROBER_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def write(directory: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory / "prober.yaml"


def config_of(directory: Path, files: Mapping[str, str]) -> Config:
    return load(write(directory, files))


def problems_of(directory: Path, files: Mapping[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        config_of(directory, files)
    return [
        str(problem).replace(f"{directory}/", "").replace(str(directory), "")
        for problem in caught.value.problems
    ]


def tenant(name: str, **keys: object) -> str:
    more = "".join(f", {key}: {value}" for key, value in keys.items())
    return f"tenants: [{{name: {name}, domain: {name}, token: {{file: {name}.token}}{more}}}]\n"


def test_tenants_of_included_files_follow_in_the_order_of_names(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        {
            "prober.yaml": "include: tenants.d/*.yaml\n" + ACME,
            "tenants.d/b.yaml": tenant("b"),
            "tenants.d/a.yaml": tenant("a"),
            "tenants.d/a.yaml~": "what an editor leaves",
        },
    )
    assert [each.name for each in config.tenants] == ["acme", "a", "b"]
    names = [path.relative_to(tmp_path).as_posix() for path in config.sources.files]
    assert names == ["prober.yaml", "tenants.d/a.yaml", "tenants.d/b.yaml"]


def test_paths_are_relative_to_the_file_in_which_they_are_written(tmp_path: Path) -> None:
    files = {
        "prober.yaml": "include: [tenants.d/*.yaml]\ndefaults: {ca_file: main.pem}\n",
        "tenants.d/a.yaml": tenant("a", probes="[mine]")
        + "probes: {mine: {path: /api/v1/x, headers: {X-Key: {file: key}}}}\n",
        "tenants.d/b.yaml": tenant("b", ca_file="own.pem"),
        "tenants.d/key": "the-key",
    }
    config = config_of(tmp_path, files)
    directory = tmp_path / "tenants.d"
    assert [each.token.location for each in config.tenants] == [
        str(directory / "a.token"),
        str(directory / "b.token"),
    ]
    assert [each.transport.ca_file for each in config.tenants] == [
        tmp_path / "main.pem",
        directory / "own.pem",
    ]
    assert config.tenants[0].probes[0].sent_headers == (("X-Key", "the-key"),)


def test_an_included_file_may_include_others_and_each_is_read_once(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        {
            "prober.yaml": "include: [a.yaml, b.yaml]\n",
            "a.yaml": "include: shared/*.yaml\n" + tenant("a"),
            "b.yaml": "include: shared/*.yaml\n" + tenant("b"),
            "shared/c.yaml": tenant("c"),
        },
    )
    assert [each.name for each in config.tenants] == ["a", "c", "b"]


def test_probes_sets_and_maintenance_are_joined(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        {
            "prober.yaml": "include: more.yaml\n"
            "maintenance: [{cron: '0 2 * * sun', duration: 1h}]\n"
            "probes: {one: {path: /api/v1/one}}\ndefaults: {probes: [both]}\n" + ACME,
            "more.yaml": "maintenance: [{cron: '0 3 * * sun', duration: 1h}]\n"
            "probes: {two: {path: /api/v1/two}}\nprobe_sets: {both: [one, two]}\n",
        },
    )
    (acme,) = config.tenants
    assert [probe.sent_path for probe in acme.probes] == ["/api/v1/one", "/api/v1/two"]
    assert len(acme.maintenance) == 2


@pytest.mark.parametrize(
    ("files", "problems"),
    [
        (
            {"prober.yaml": "include: a.yaml\n", "a.yaml": "\n" + tenant("a", probs="[x]")},
            ["a.yaml:2: tenants[0].probs: unknown key; did you mean 'probes'?"],
        ),
        (
            {
                "prober.yaml": ACME + "include: [a.yaml, b.yaml]\n",
                "a.yaml": tenant("a") + "web: {}\nlog: {level: info}\n",
                "b.yaml": tenant("b", probes="[datasetss]"),
            },
            [
                (
                    "a.yaml:2: web: belongs in the main file: an included file has only 'tenants',"
                    " 'maintenance', 'probes', 'probe_sets', 'include'"
                ),
                (
                    "a.yaml:3: log: belongs in the main file: an included file has only 'tenants',"
                    " 'maintenance', 'probes', 'probe_sets', 'include'"
                ),
                (
                    "b.yaml:1: tenants[0].probes[0].use: there is no probe 'datasetss'; did you"
                    " mean 'datasets'?"
                ),
            ],
        ),
        (
            {"prober.yaml": ACME + "include: a.yaml\n", "a.yaml": ACME},
            ["a.yaml:1: tenants[0].name: 'acme' is also the name of tenants[0]: rename one"],
        ),
        (
            {"prober.yaml": "include: [a.yaml, b.yaml]\n", "a.yaml": ACME, "b.yaml": ACME},
            [
                (
                    "b.yaml:1: tenants[0].name: 'acme' is also the name of tenants[0] in a.yaml:"
                    " rename one"
                )
            ],
        ),
        (
            {
                "prober.yaml": ACME + "include: a.yaml\nprobes: {mine: {path: /x}}\n",
                "a.yaml": "probes: {mine: {path: /y}}\n",
            },
            ["a.yaml:1: probes.mine: is also defined in prober.yaml:3: rename one of them"],
        ),
        (
            {"prober.yaml": ACME + "include: '*.yaml'\n"},
            [
                (
                    "prober.yaml:2: include: includes itself (prober.yaml -> prober.yaml): keep"
                    " included files in a directory of their own"
                )
            ],
        ),
        (
            {
                "prober.yaml": ACME + "include: a.yaml\n",
                "a.yaml": "include: b.yaml\n",
                "b.yaml": "\ninclude: a.yaml\n",
            },
            [
                (
                    "b.yaml:2: include: includes itself (prober.yaml -> a.yaml -> b.yaml ->"
                    " a.yaml): keep included files in a directory of their own"
                )
            ],
        ),
        (
            {"prober.yaml": ACME + "include: missing.yaml\n"},
            ["prober.yaml:2: include: the file missing.yaml does not exist"],
        ),
        (
            {"prober.yaml": ACME + "include: a.yaml\n", "a.yaml": "tenants: {name: a}\n"},
            ["a.yaml:1: tenants: must be a list"],
        ),
        (
            {"prober.yaml": "tenants: acme\ninclude: a.yaml\n", "a.yaml": tenant("a")},
            [
                (
                    "prober.yaml:1: tenants: name at least one: '- {name: ..., organisation: ...,"
                    " tenant: ..., token: ...}'"
                )
            ],
        ),
        (
            {"prober.yaml": ACME + "include: a.yaml\n", "a.yaml": "tenants: [\n"},
            ["a.yaml:2: not YAML: while parsing a flow node, expected the node content, but found"],
        ),
        *(
            (
                {"prober.yaml": ACME + f"include: {written}\n"},
                [
                    (
                        "prober.yaml:2: include: write a pattern such as 'tenants.d/*.yaml', or"
                        " a list of them"
                    )
                ],
            )
            for written in ("3", "{a: b}", "['']", "[1]")
        ),
    ],
)
def test_a_problem_names_the_file_and_the_key_in_it(
    tmp_path: Path, files: Mapping[str, str], problems: list[str]
) -> None:
    found = problems_of(tmp_path, files)
    assert [line[: len(expected)] for line, expected in zip(found, problems, strict=True)] == (
        problems
    )


def test_included_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_FILES >= 1000
    monkeypatch.setattr("prober.config.includes.MAX_FILES", 3)
    files = {f"d/{n}.yaml": tenant(f"t{n}") for n in range(4)}
    (problem,) = problems_of(tmp_path, {"prober.yaml": "include: d/*.yaml\n", **files})
    assert problem == "prober.yaml:1: include: includes more than 3 files"


def test_a_directory_may_have_any_name(tmp_path: Path) -> None:
    directory = tmp_path / "odd [x]* ?"
    config = config_of(directory, {"prober.yaml": "include: d/*.yaml\n", "d/a.yaml": ACME})
    assert [each.name for each in config.tenants] == ["acme"]


def test_the_signature_changes_with_every_file_and_with_new_ones(tmp_path: Path) -> None:
    files = {"prober.yaml": "include: d/*.yaml\n" + ACME, "d/a.yaml": tenant("a")}
    sources = config_of(tmp_path, files).sources
    seen = [sources_signature(sources)]
    assert sources_signature(sources) == seen[0]
    (tmp_path / "d/a.yaml").write_text(tenant("a") + "# changed\n")
    seen.append(sources_signature(sources))
    (tmp_path / "d/b.yaml").write_text(tenant("b"))
    seen.append(sources_signature(sources))
    (tmp_path / "d/a.yaml").unlink()
    seen.append(sources_signature(sources))
    assert len(set(seen)) == len(seen)


SHAPE = """\
x-customer: &customer
  organisation: acme
  environment: production
  labels: {team: operations}
  x-note: whatever
defaults: {probes: [standard]}
probe_sets:
  standard: [current-user, datasets, {use: streams, dataset: ops/mail, interval: 5m}]
tenants:
"""


def test_300_tenants_of_one_shape_take_few_lines(tmp_path: Path) -> None:
    assert len(SHAPE.splitlines()) < 20
    lines = [
        f"  - {{<<: *customer, name: c{n:03}, tenant: c{n:03}, token: {{file: tokens/c{n:03}}}}}"
        for n in range(300)
    ]
    config = config_of(tmp_path, {"prober.yaml": SHAPE + "\n".join(lines)})
    assert len(config.tenants) == 300
    last = config.tenants[-1]
    assert last.base_url == "https://cloud.uipath.com/acme/c299/reinfer_"
    assert last.labels == {"team": "operations"}
    assert [(each.name, each.interval_seconds) for each in last.probes] == [
        ("current-user", 60.0),
        ("datasets", 60.0),
        ("streams", 300.0),
    ]


def test_a_problem_of_a_merged_key_points_to_where_it_is_written(tmp_path: Path) -> None:
    text = "x-a: &a\n  domain: acme\n  colour: red\ntenants:\n"
    text += "  - {<<: *a, name: acme, token: {env: T}}\n"
    assert problems_of(tmp_path, {"prober.yaml": text}) == [
        (
            "prober.yaml:3: tenants[0].colour: unknown key; known keys: base_url, ca_file,"
            " client_certificate, concurrency, domain, environment, labels, maintenance, name,"
            " objectives, organisation, probes, projects, proxy, tenant, token"
        )
    ]


SETS = """\
probe_sets:
  standard: [current-user, {use: streams, dataset: mail}, {use: mine, interval: 5m}]
probes: {mine: {path: /api/v1/x}}
tenants:
  - name: acme
    domain: acme
    token: {env: T}
    projects: {dev: {environment: development}, Prod.EU: {environment: production}}
    environment: shared
"""


def test_two_projects_of_one_tenant_have_environments_of_their_own(tmp_path: Path) -> None:
    text = SETS + (
        "    probes:\n"
        "      - datasets\n"
        "      - {use: standard, project: dev, interval: 2m}\n"
        "      - {use: standard, project: Prod.EU, name: eu}\n"
        "      - {use: source, source: dev/inbox}\n"
        "      - {use: source, source: elsewhere/inbox, name: other}\n"
    )
    (acme,) = config_of(tmp_path, {"prober.yaml": text}).tenants
    assert [
        (p.name, p.sent_path, p.project, p.environment, p.interval_seconds) for p in acme.probes
    ] == [
        ("datasets", "/api/v1/datasets", None, None, 60.0),
        ("dev-current-user", "/auth/user", "dev", "development", 120.0),
        ("dev-streams", "/api/v1/datasets/dev/mail/streams", "dev", "development", 120.0),
        ("dev-mine", "/api/v1/x", "dev", "development", 300.0),
        ("eu-current-user", "/auth/user", "Prod.EU", "production", 60.0),
        ("eu-streams", "/api/v1/datasets/Prod.EU/mail/streams", "Prod.EU", "production", 60.0),
        ("eu-mine", "/api/v1/x", "Prod.EU", "production", 300.0),
        ("source", "/api/v1/sources/dev/inbox", "dev", "development", 60.0),
        ("other", "/api/v1/sources/elsewhere/inbox", "elsewhere", None, 60.0),
    ]


@pytest.mark.parametrize(
    ("sets", "problem"),
    [
        (
            "{datasets: [sources]}",
            "1: probe_sets.datasets: 'datasets' is also the name of a probe: rename the set",
        ),
        ("{a: []}", "1: probe_sets.a: is empty: name a probe, or remove the set"),
        (
            "{a: [datasets], b: [a]}",
            "1: probe_sets.b[0]: 'a' is a set: a set lists probes, and no sets",
        ),
        ("{A: [datasets]}", "1: probe_sets.A: write lower-case letters, digits, '-' and '_' (at"),
        ("[a]", "1: probe_sets: must be a mapping from names to lists of probes"),
        ("{a: datasets}", "1: probe_sets.a: must be a list: '[...]', or lines that begin with"),
    ],
)
def test_a_wrong_probe_set_is_reported(tmp_path: Path, sets: str, problem: str) -> None:
    found = problems_of(tmp_path, {"prober.yaml": f"probe_sets: {sets}\n{ACME}"})
    assert [line.removeprefix("prober.yaml:")[: len(problem)] for line in found] == [problem]


def test_the_same_set_twice_needs_another_name(tmp_path: Path) -> None:
    text = "probe_sets: {a: [datasets]}\n" + tenant("acme", probes="[a, a]")
    assert problems_of(tmp_path, {"prober.yaml": text}) == [
        (
            "prober.yaml:2: tenants[0].probes[1]: 'datasets' is listed twice: give one of them"
            " another 'name'"
        )
    ]


def test_an_empty_default_is_reported_once(tmp_path: Path) -> None:
    text = "defaults: {probes: []}\n" + ACME
    assert problems_of(tmp_path, {"prober.yaml": text}) == [
        "prober.yaml:1: defaults.probes: is empty: name a probe, or leave the key out"
    ]


def test_keys_of_ones_own_are_ignored_but_not_in_what_is_sent(tmp_path: Path) -> None:
    text = (
        "x-top: 1\n"
        "probes: {mine: {path: /api/v1/x, x-why: 1, headers: {x-team: ops}}}\n"
        "tenants: [{name: a, domain: a, x-owner: me, token: {env: T, x-y: 1}, probes: [mine]}]\n"
    )
    (acme,) = config_of(tmp_path, {"prober.yaml": text}).tenants
    assert acme.probes[0].sent_headers == (("x-team", "ops"),)


def test_files_include_one_another_only_so_deep(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"{number}.yaml").write_text(f"include: {number + 1}.yaml\n")
    with pytest.raises(SettingsError) as raised:
        load(tmp_path / "0.yaml")
    assert f"more than {MAX_INCLUDE_DEPTH} deep" in str(raised.value)


def test_links_in_a_circle_are_problems(tmp_path: Path) -> None:
    (tmp_path / "prober.yaml").write_text("include: [a.yaml, '*.yaml']\n")
    (tmp_path / "a.yaml").symlink_to("b.yaml")
    (tmp_path / "b.yaml").symlink_to("a.yaml")
    with pytest.raises(SettingsError):
        load(tmp_path / "prober.yaml")
    with pytest.raises(SettingsError):
        load(tmp_path / "a.yaml")
