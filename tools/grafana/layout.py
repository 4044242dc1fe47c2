"""What all dashboards have: variables, annotations, links to the others, panels in a grid."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as models

from tools.grafana.palette import NEUTRAL
from tools.grafana.panels import DATASOURCE, AnyPanel

OVERVIEW, TENANT, TOKENS, SELF_MONITORING = (
    "prober-overview",
    "prober-tenant",
    "prober-tokens",
    "prober-itself",
)
_TAG = "prober"
_LABEL_VALUES = 1  # of the Prometheus data source's kinds of variables
_KEPT = "${datasource:queryparam}&${job:queryparam}&${__url_time_range}"


def _tenant_link(name: str) -> tuple[str, str]:
    return "This tenant", f"/d/{TENANT}?var-tenant=${{{name}}}&{_KEPT}"


TENANT_OF_ROW = _tenant_link("__data.fields.Tenant")
TENANT_OF_SERIES = _tenant_link("__field.labels.tenant")
"""Where a name leads, as title and address: from a table's column Tenant, from a line over time."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A variable that is filled with a label's values; the metric's matchers may use others.

    `every` is what `All` matches: None means the values themselves, as it must where another
    choice narrows them; `.*` for a label that may be missing.
    """

    label: str
    of: str
    is_many: bool = True
    every: str | None = ".+"

    def variable(self) -> dashboard.QueryVariable:
        """Return it as Grafana has it, renewed whenever the time range changes."""
        variable = dashboard.QueryVariable(self.label).label(self.label.capitalize())
        query = f"label_values({self.of}, {self.label})"
        made = {"qryType": _LABEL_VALUES, "query": query, "refId": "Variable"}
        variable = variable.query(made).datasource(DATASOURCE)
        variable = variable.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        variable = variable.sort(models.VariableSort.ALPHABETICAL_ASC)
        variable = variable.multi(multi=self.is_many).include_all(include_all=self.is_many)
        if not self.is_many:
            return variable
        variable = variable.current(models.VariableOption(True, ["All"], ["$__all"]))
        return variable if self.every is None else variable.all_value(self.every)


JOB = Choice("job", "prober_build_info")
ENVIRONMENT = Choice("environment", 'prober_tenant_info{job=~"$job"}')
_NARROWED = 'prober_tenant_info{job=~"$job", environment=~"$environment"}'
TENANTS = (ENVIRONMENT, Choice("tenant", _NARROWED, every=None))
ONE_TENANT = Choice("tenant", 'prober_tenant_info{job=~"$job"}', is_many=False)
LOCATION = Choice("location", 'prober_build_info{job=~"$job"}', every=".*")
PROBES = Choice("probe", 'prober_probe_success{job=~"$job", tenant=~"$tenant"}')
INSTANCES = Choice("instance", 'prober_build_info{job=~"$job"}')


class PrometheusAnnotation(models.AnnotationQuery):
    """An annotation with a title made of labels, which the library's own class does not know."""

    title_format: str = ""

    def to_json(self) -> dict[str, object]:
        """Return it as Grafana's Prometheus data source reads it."""
        return {**super().to_json(), "titleFormat": self.title_format}


@dataclass(frozen=True, slots=True)
class _Built(Builder[models.AnnotationQuery]):
    annotation: models.AnnotationQuery

    def build(self) -> models.AnnotationQuery:
        return self.annotation


def _maintenance() -> Builder[models.AnnotationQuery]:
    annotation = PrometheusAnnotation(
        name="Maintenance",
        datasource=DATASOURCE,
        icon_color=NEUTRAL,
        expr='max by (tenant) (prober_maintenance_active{job=~"$job", tenant=~"$tenant"}) == 1',
    )
    annotation.title_format = "{{tenant}} is in maintenance"
    return _Built(annotation)


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading; without a title, those at the very top."""

    title: str
    panels: Sequence[AnyPanel]


def framed(
    uid: str, title: str, description: str, choices: Sequence[Choice], rows: Sequence[Row]
) -> models.Dashboard:
    """Return a whole dashboard; its panels are numbered in the order given."""
    board = dashboard.Dashboard(title).uid(uid).description(description).tags([_TAG]).readonly()
    board = board.time("now-24h", "now").refresh("1m").timezone("browser")
    board = board.tooltip(models.DashboardCursorSync.CROSSHAIR)
    board = board.with_variable(
        dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
    )
    for choice in (JOB, *choices):
        board = board.with_variable(choice.variable())
    if any(choice.label == "tenant" for choice in choices):
        board = board.annotation(_maintenance())
    others = dashboard.DashboardLink("Prober").type(models.DashboardLinkType.DASHBOARDS)
    board = board.link(others.tags([_TAG]).include_vars(True).keep_time(True))
    number = 0
    for row in rows:
        if row.title:
            number += 1
            board = board.with_row(dashboard.Row(row.title).id(number))
        for panel in row.panels:
            number += 1
            board = board.with_panel(_Numbered(panel, number))
    return board.build()


@dataclass(frozen=True, slots=True)
class _Numbered(Builder[models.Panel]):
    panel: AnyPanel
    number: int

    def build(self) -> models.Panel:
        built = self.panel.build()
        built.id_val = self.number
        return built
