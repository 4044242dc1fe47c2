// Values under the pointer, a cross-hair over all charts, and a closer look by dragging.
import { visit } from "./live.js";
import { format } from "./time.js";

let shown = null, from = null;
const ms = (value) => value === null ? "-" : value >= 1000 ? `${(value / 1000).toFixed(2)} s` : `${value.toFixed(value < 100 ? 1 : 0)} ms`;
const spanOf = ({ dataset: { since, until } }) => [Number(since), Number(until)];

function words(chart, at) {
  const found = JSON.parse(chart.dataset.points).find(([start]) => start <= at && at < start + Number(chart.dataset.step));
  if (!found) return `${format(new Date(at * 1000), "stamp")}: no run`;
  const [start, serverHalf, server, networkHalf, network, ownHalf, own, runs, failures] = found;
  return `${format(new Date(start * 1000), "stamp")}: server ${ms(serverHalf)}, p95 ${ms(server)}; network ${ms(networkHalf)}, p95 ${ms(network)}; own ${ms(ownHalf)}, p95 ${ms(own)}; ${failures} of ${runs} failed`;
}

function draw() {
  for (const chart of document.querySelectorAll(".chart[data-points]")) {
    const [since, until] = spanOf(chart), x = (at) => ((at - since) / (until - since)) * 1000, zoom = chart.querySelector(".zoom");
    const [left, right] = from === null || shown === null ? [0, 0] : [x(from), x(shown)].sort((a, b) => a - b);
    chart.querySelector(".cross").setAttribute("d", shown === null ? "" : `M${x(shown).toFixed(1)} 0V130`);
    chart.closest("figure").querySelector("output").textContent = shown === null ? "" : words(chart, shown);
    for (const [name, value] of [["x", left], ["width", right - left]]) zoom.setAttribute(name, value);
  }
}

function timeAt({ target, clientX }) {
  const plot = target.closest?.(".plot");
  if (!plot) return null;
  const [since, until] = spanOf(plot.parentElement), { left, width } = plot.getBoundingClientRect();
  return since + ((until - since) * (clientX - left)) / width;
}

document.addEventListener("pointermove", (event) => {
  const at = timeAt(event), isOut = at === null && shown === null;
  [shown, from] = [at, at === null ? null : from];
  if (!isOut) draw();
});
document.addEventListener("pointerdown", (event) => { from = event.button === 0 ? timeAt(event) : null; });
document.addEventListener("pointerup", () => {
  const [since, until] = from === null || shown === null ? [0, 0] : [from, shown].map(Math.round).sort((a, b) => a - b);
  from = null;
  if (until - since >= 300) visit(`?from=${since}&until=${until}`); else draw();
});
document.addEventListener("patched", draw);
