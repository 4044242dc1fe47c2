// Changes the page to what the server sends; keeps focus, selection, and what was opened.
import { localise } from "./time.js";

const fresh = new Map(); // elements that have no place yet
const waiting = new Map(); // the order of lists, while the pointer is over them
let isOver = false;

function parse(html) {
  const { content } = Object.assign(document.createElement("template"), { innerHTML: html.trim() });
  localise(content);
  return content.firstElementChild;
}

export function morph(old, next) {
  if (old.isEqualNode(next)) return;
  if (old.nodeType === Node.TEXT_NODE && next.nodeType === Node.TEXT_NODE) { old.data = next.data; return; }
  if (old.nodeName !== next.nodeName || old.id !== next.id) { old.replaceWith(next); return; }
  for (const { name } of [...old.attributes]) if (name !== "open" && !next.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of next.attributes) if (name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  const named = new Map([...old.children].filter((each) => each.id).map((each) => [each.id, each]));
  let at = old.firstChild;
  for (const child of [...next.childNodes]) {
    const same = named.get(child.id) ?? (at && !at.id && !child.id && at.nodeName === child.nodeName ? at : null);
    if (!same) { old.insertBefore(child, at); continue; }
    if (same === at) at = at.nextSibling; else old.insertBefore(same, at);
    morph(same, child);
  }
  while (at) { const following = at.nextSibling; at.remove(); at = following; }
}

// A text keeps its selection when its end changes, and an element its focus when it moves.
export function keeping(change) {
  const focused = document.activeElement, selection = getSelection();
  const { anchorNode, anchorOffset, focusNode, focusOffset, isCollapsed } = selection;
  change();
  const within = (node, offset) => Math.min(offset, node.length ?? node.childNodes.length);
  if (!isCollapsed && anchorNode.isConnected && focusNode.isConnected)
    selection.setBaseAndExtent(anchorNode, within(anchorNode, anchorOffset), focusNode, within(focusNode, focusOffset));
  if (focused !== document.activeElement && focused !== document.body)
    (focused.isConnected ? focused : document.getElementById(focused.id))?.focus({ preventScroll: true });
}

// Nothing moves under the pointer: a new order waits until it has left the list.
function reorder() {
  for (const [id, names] of waiting) {
    const list = document.getElementById(id);
    for (const each of list.children) each.classList.toggle("leaving", !names.includes(each.id));
    if (isOver) continue;
    names.forEach((name, at) => {
      const element = document.getElementById(name) ?? fresh.get(name);
      fresh.delete(name);
      if (element && list.children[at] !== element) list.insertBefore(element, list.children[at] ?? null);
    });
    [...list.children].slice(names.length).forEach((each) => each.remove());
    waiting.delete(id);
  }
  document.getElementById("waiting")?.toggleAttribute("hidden", waiting.size === 0);
}

// Returns whether the page has a place for everything.
export function apply({ parts, order }) {
  const hasPlaces = Object.keys(order).every((id) => document.getElementById(id));
  keeping(() => {
    for (const [id, html] of Object.entries(parts)) {
      const old = document.getElementById(id), next = parse(html);
      if (old) morph(old, next); else fresh.set(id, next);
    }
    if (hasPlaces) for (const [id, names] of Object.entries(order)) waiting.set(id, names);
    reorder();
  });
  document.dispatchEvent(new Event("patched"));
  return hasPlaces;
}

export function start() {
  const over = (isNow) => { const left = isOver && !isNow; isOver = isNow; if (left) keeping(reorder); };
  document.addEventListener("pointerover", (event) => over(event.pointerType === "mouse" && event.target.closest("#list") !== null));
  document.documentElement.addEventListener("pointerleave", () => over(false));
}
