// Filter as you type, links that keep the place, and the keyboard: / searches, arrows move.
import { visit } from "./live.js";

const form = document.getElementById("filter"), search = document.getElementById("search");
let timer;

function filter() {
  const query = new URLSearchParams(new FormData(form));
  for (const [name, value] of [...query]) if (!value) query.delete(name, value);
  visit(`${form.getAttribute("action")}${query.size ? `?${query}` : ""}`);
}

const soon = (event, ms) => { event.preventDefault(); clearTimeout(timer); timer = setTimeout(filter, ms); };
form?.addEventListener("input", (event) => soon(event, event.target === search ? 200 : 0));
form?.addEventListener("submit", (event) => soon(event, 0));
document.addEventListener("click", (event) => {
  const link = event.target.closest("a.soft");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) { event.preventDefault(); visit(link.href); }
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const isTyping = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
  if (event.key === "/" && !isTyping && search) { event.preventDefault(); search.select(); }
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || (isTyping && document.activeElement !== search)) return;
  const links = [...document.querySelectorAll("[data-keys] :is(h3, th) a")].filter((each) => each.checkVisibility());
  const at = links.indexOf(document.activeElement);
  if (at < 0 && document.activeElement !== search) return;
  event.preventDefault();
  (links[at + step] ?? search)?.focus();
});
