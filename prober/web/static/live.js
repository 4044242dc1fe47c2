// Keeps the page up to date, and says truly whether it is.
import * as patch from "./patch.js";
import * as time from "./time.js";

const LATE_MS = 15500; // three ticks of five seconds
const state = document.getElementById("feed-state"), clock = document.getElementById("feed-time"), line = document.getElementById("as-of");
let source, timer, visits = 0, delay = 1000, receivedAt, asOf = new Date(document.body.dataset.now * 1000);
const write = (element, text) => { if (element.textContent !== text) element.textContent = text; };

function show(isLive, why) {
  document.body.classList.toggle("stale", !isLive);
  document.getElementById("feed").className = isLive ? "live" : "lost";
  write(state, isLive ? "Live" : `Not live since ${time.format(asOf, "seconds")}`);
  write(clock, isLive ? time.format(asOf, "seconds") : "");
  write(line, isLive ? "" : `As of ${time.format(asOf, "stamp")}${why ? `: ${why}` : ""}. What is below may have changed since.`);
  line.hidden = isLive;
}

function lose(why) {
  source.close();
  show(false, why);
  timer ??= setTimeout(connect, delay * (0.75 + Math.random() / 2));
  delay = Math.min(delay * 2, 30000);
}

function connect() {
  source?.close();
  clearTimeout(timer);
  [timer, receivedAt] = [undefined, performance.now()];
  source = new EventSource(document.body.dataset.live);
  source.onerror = () => lose();
  source.addEventListener("parts", ({ data }) => { if (!patch.apply(JSON.parse(data))) visit(location.href, false); });
  source.addEventListener("tick", ({ data }) => {
    [receivedAt, delay, asOf] = [performance.now(), 1000, new Date(JSON.parse(data).at * 1000)];
    show(true);
  });
  source.addEventListener("gone", ({ data }) => lose(JSON.parse(data).text));
}

// Shows another address of the same page, such as another filter, without losing the place.
export async function visit(address, isNew = true) {
  const number = ++visits, response = await fetch(address);
  if (!response.ok) { location.assign(address); return; }
  const next = new DOMParser().parseFromString(await response.text(), "text/html");
  if (number !== visits) return;
  time.localise(next);
  if (isNew) history.pushState(null, "", address);
  patch.keeping(() => {
    for (const id of ["title", "favicon", "main"]) patch.morph(document.getElementById(id), next.getElementById(id));
  });
  document.body.dataset.live = next.body.dataset.live;
  document.dispatchEvent(new Event("patched"));
  connect();
}

time.start();
patch.start();
if (document.body.dataset.live) {
  write(state, "Connecting");
  connect();
  setInterval(() => { if (!timer && performance.now() - receivedAt > LATE_MS) lose(); }, 1000);
  addEventListener("popstate", () => visit(location.href, false));
} else write(state, `As of ${time.format(asOf, "seconds")}`);
