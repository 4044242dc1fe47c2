// Shows times in the reader's own time zone, or in UTC; the other one is in the title.
const KEY = "prober-time-zone";
const pad = (number) => String(number).padStart(2, "0");
const isLocal = () => localStorage.getItem(KEY) !== "UTC";

export function format(date, form) {
  const offset = isLocal() ? -date.getTimezoneOffset() : 0, size = Math.abs(offset);
  const iso = new Date(date.getTime() + offset * 60000).toISOString();
  const zone = offset ? `${offset < 0 ? "-" : "+"}${pad(Math.floor(size / 60))}:${pad(size % 60)}` : "Z";
  return { stamp: `${iso.slice(0, 10)} ${iso.slice(11, 19)}${zone}`, clock: `${iso.slice(11, 16)}${zone}`,
    seconds: `${iso.slice(11, 19)}${zone}`, tick: iso.slice(11, 16), day: iso.slice(5, 10) }[form];
}

export function localise(root) {
  for (const each of root.querySelectorAll("time[data-form]")) each.textContent = format(new Date(each.dateTime), each.dataset.form);
}

export function start() {
  const button = document.getElementById("zone");
  const show = () => { button.textContent = isLocal() ? "Local time" : "UTC"; localise(document); };
  button.hidden = false;
  button.addEventListener("click", () => {
    localStorage.setItem(KEY, isLocal() ? "UTC" : "local");
    show();
  });
  show();
}
