"""Four kinds of panels: a number, a table, a timeline of states, and lines over time.

Sizes are (width, height) in Grafana's grid of 24 columns. A panel without data says why
(`nothing`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat, QueryEditorMode

from tools.grafana.palette import PLAIN, Shown

Size = tuple[int, int]
AnyPanel = Builder[models.Panel]
_Panel = TypeVar("_Panel", stat.Panel, table.Panel, statetimeline.Panel, timeseries.Panel)
RUNBOOKS = "https://runbooks.example.com"
"""Where docs/runbooks is served; docs/how-to/grafana.md says how to put yours."""

DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")


@dataclass(frozen=True, slots=True)
class About:
    """A panel's title, what to conclude from it, and the runbooks that it links to."""

    title: str
    description: str
    runbooks: tuple[str, ...] = ()
    nothing: str = "no data"


@dataclass(frozen=True, slots=True)
class Query:
    """One query and the name of its series, or of its column in a table.

    `dash` is the line's pattern (pixels drawn, pixels not drawn), so that lines differ even
    without colours. `has_exemplars`: single requests are shown as points, with their ids.
    """

    expression: str
    name: str
    dash: tuple[int, int] | None = None
    has_exemplars: bool = False


DASHED, DOTTED, OBJECTIVE = (10, 5), (2, 4), (4, 8)

Steps = tuple[tuple[float | None, str], ...]
"""The colour from each threshold on, in ascending order; the first, of None, is for all below."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a value is shown: as a quantity, coloured by `steps`, or as a word.

    `is_filled`: the colour is the background, since not all of these colours are readable as text.
    """

    unit: str = "none"
    decimals: int | None = None
    shown: Mapping[int, Shown] | Mapping[str, Shown] = field(default_factory=dict)
    steps: Steps = ()
    is_filled: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: a label, or the name of a query. `link` is a title and an address."""

    name: str
    title: str
    look: Look = Look("string")
    link: tuple[str, str] | None = None
    hidden: bool = False


def number(about: About, query: str, size: Size, look: Look) -> AnyPanel:
    """Return one number, or the word for it."""
    panel = _framed(stat.Panel(), about, look.unit, size).with_target(_target(query, 0).instant())
    reduced = common.ReduceDataOptions().calcs(["lastNotNull"]).values(values=False)
    panel = panel.reduce_options(reduced).graph_mode(common_models.BigValueGraphMode.NONE)
    colour = common_models.BigValueColorMode
    panel = panel.color_mode(colour.BACKGROUND_SOLID if look.is_filled else colour.VALUE)
    panel = panel.thresholds(_thresholds(look.steps)).mappings(_mappings(look.shown))
    return panel if look.decimals is None else panel.decimals(look.decimals)


def timeline(
    about: About,
    queries: Sequence[Query],
    size: Size,
    shown: Mapping[int, Shown],
    link: tuple[str, str] | None = None,
) -> AnyPanel:
    """Return one row of states for each series, with the word of each state."""
    panel = _framed(statetimeline.Panel(), about, "none", size)
    for place, query in enumerate(queries):
        panel = panel.with_target(_target(query.expression, place).legend_format(query.name))
    panel = panel.mappings(_mappings(shown)).merge_values(merge_values=True).row_height(0.85)
    panel = panel.show_value(common_models.VisibilityMode.AUTO).fill_opacity(80).line_width(0)
    # The words are in the rows: a legend would only repeat them.
    panel = panel.legend(common.VizLegendOptions().show_legend(show_legend=False))
    if link is not None:
        panel = panel.data_links([dashboard.DashboardLink(link[0]).url(link[1])])
    return panel.tooltip(_tooltip(common_models.TooltipDisplayMode.SINGLE))


def lines(
    about: About,
    queries: Sequence[Query],
    size: Size,
    unit: str,
    colours: Mapping[str, str] | None = None,
    *,
    stacked: bool = False,
) -> AnyPanel:
    """Return lines over time, or stacked areas; `colours` are by the name of a series."""
    panel = _framed(timeseries.Panel(), about, unit, size)
    for place, query in enumerate(queries):
        target = _target(query.expression, place).legend_format(query.name)
        panel = panel.with_target(target.exemplar(True) if query.has_exemplars else target)
    panel = (
        panel.axis_soft_min(0).line_width(0 if stacked else 1.5).fill_opacity(75 if stacked else 0)
    )
    panel = panel.show_points(common_models.VisibilityMode.NEVER).span_nulls(span_nulls=False)
    if stacked:
        mode = common_models.StackingMode.NORMAL
        panel = panel.stacking(common.StackingConfig().mode(mode).group("A"))
    legend = common.VizLegendOptions().show_legend(show_legend=True)
    legend = legend.display_mode(common_models.LegendDisplayMode.LIST)
    panel = panel.legend(legend.placement(common_models.LegendPlacement.BOTTOM))
    panel = panel.tooltip(_tooltip(common_models.TooltipDisplayMode.MULTI))
    for name, colour in (colours or {}).items():
        fixed = {"mode": "fixed", "fixedColor": colour}
        panel = panel.override_by_name(name, [_property("color", fixed)])
    for query in queries:
        if query.dash is not None:
            style = {"fill": "dash", "dash": list(query.dash)}
            panel = panel.override_by_name(query.name, [_property("custom.lineStyle", style)])
    return panel


def listing(
    about: About,
    queries: Sequence[Query],
    columns: Sequence[Column],
    size: Size,
    sort_by: str,
    reshape: Sequence[models.DataTransformerConfig] = (),
) -> AnyPanel:
    """Return a table of the current values: queries side by side, joined by their labels.

    `sort_by` is a column's title, with `-` before it for descending order. `reshape` is done before
    columns are named; without it, every query is a column.
    """
    panel = _framed(table.Panel(), about, "none", size)
    for place, query in enumerate(queries):
        target = _target(query.expression, place).instant()
        panel = panel.with_target(target.format(PromQueryFormat.TABLE))
    for step in (*(reshape or [_step("merge", {})]), _named(queries, columns)):
        panel = panel.with_transformation(step)
    for column in columns:
        panel = panel.override_by_name(column.title, _properties(column))
    order = common.TableSortByFieldState().display_name(sort_by.removeprefix("-"))
    panel = panel.sort_by([order.desc(desc=sort_by.startswith("-"))])
    return panel.cell_height(common_models.TableCellHeight.SM)


def matrix(row: str, column: str) -> list[models.DataTransformerConfig]:
    """Return the steps that make a matrix of one query: a line for each `row` label, and so on."""
    names = {"rowField": row, "columnField": column, "valueField": "Value"}
    # Without it, Grafana fills empty cells with texts, and the column is no longer numeric.
    return [_step("groupingToMatrix", {**names, "emptyValue": "null"})]


def _framed(panel: _Panel, about: About, unit: str, size: Size) -> _Panel:
    width, height = size
    framed = panel.title(about.title).description(about.description).datasource(DATASOURCE)
    framed = framed.unit(unit).span(width).height(height).no_value(about.nothing)
    return framed.links([_runbook(page) for page in about.runbooks]) if about.runbooks else framed


def _runbook(page: str) -> Builder[models.DashboardLink]:
    link = dashboard.DashboardLink(f"Runbook: {page}").url(f"{RUNBOOKS}/{page}/")
    return link.target_blank(target_blank=True)


def _target(expression: str, place: int) -> prometheus.Dataquery:
    query = prometheus.Dataquery().expr(expression).ref_id(_reference(place))
    return query.range().editor_mode(QueryEditorMode.CODE).datasource(DATASOURCE)


def _reference(place: int) -> str:
    return chr(ord("A") + place)


def _tooltip(mode: common_models.TooltipDisplayMode) -> common.VizTooltipOptions:
    return common.VizTooltipOptions().mode(mode).sort(common_models.SortOrder.DESCENDING)


def _thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    every = [models.Threshold(*step) for step in steps or ((None, PLAIN),)]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(every)


def _mappings(shown: Mapping[int, Shown] | Mapping[str, Shown]) -> list[models.ValueMapping]:
    results = {
        str(value): models.ValueMappingResult(text=each.text, color=each.colour, index=place)
        for place, (value, each) in enumerate(shown.items())
    }
    return [models.ValueMap(results)] if results else []


def _nothing_known(place: int) -> models.SpecialValueMap:
    """Return the look of an empty cell: without it, the lowest threshold colours it too."""
    return models.SpecialValueMap(
        models.DashboardSpecialValueMapOptions(
            match=models.SpecialValueMatch.NULL,
            result=models.ValueMappingResult(text="-", color=PLAIN, index=place),
        )
    )


def _step(name: str, options: Mapping[str, object]) -> models.DataTransformerConfig:
    return models.DataTransformerConfig(id_val=name, options=dict(options))


def _property(name: str, value: object) -> models.DynamicConfigValue:
    return models.DynamicConfigValue(name, value)


def _named(queries: Sequence[Query], columns: Sequence[Column]) -> models.DataTransformerConfig:
    """Return the step that orders and renames columns, and drops what is not a column."""
    # Grafana names a value by its query where there are several.
    several = len(queries) > 1
    values = {
        query.name: f"Value #{_reference(place)}" if several else "Value"
        for place, query in enumerate(queries)
    }
    titles = {values.get(column.name, column.name): column.title for column in columns}
    dropped = {"Time", "job", *values.values()} - titles.keys()
    options = {
        "indexByName": {name: place for place, name in enumerate(titles)},
        "renameByName": titles,
        "excludeByName": dict.fromkeys(sorted(dropped), True),
    }
    return _step("organize", options)


def _properties(column: Column) -> list[models.DynamicConfigValue]:
    look = column.look
    properties = [_property("unit", look.unit)]
    if look.decimals is not None:
        properties.append(_property("decimals", look.decimals))
    if look.shown or look.steps:
        mappings = [*_mappings(look.shown), _nothing_known(len(look.shown))]
        properties.append(_property("mappings", mappings))
    if look.steps:
        properties.append(_property("thresholds", _thresholds(look.steps).build()))
    if look.shown or look.steps:
        filled = {"type": "color-background", "mode": "basic"}
        cell = filled if look.is_filled else {"type": "color-text"}
        properties.append(_property("custom.cellOptions", cell))
    if column.link is not None:
        title, url = column.link
        properties.append(_property("links", [{"title": title, "url": url}]))
    if column.hidden:  # the first is read by Grafana up to 12, the second from 13 on
        properties.append(_property("custom.hidden", True))
        properties.append(_property("custom.hideFrom.viz", True))
    return properties
