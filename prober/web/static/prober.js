// Replaces parts of the page with those that the server sends.
"use strict";
(() => {
  const feed = document.getElementById("feed");
  const address = document.body.dataset.live;
  if (!address || !window.EventSource) {
    if (feed && !address) feed.textContent = "";
    return;
  }
  const source = new EventSource(address);
  const openBefore = (element) =>
    new Map([...element.querySelectorAll("details[id]")].map((each) => [each.id, each.open]));

  source.onopen = () => { feed.textContent = "Live"; feed.className = "live"; };
  source.onerror = () => { feed.textContent = "Not live: no response from the prober."; feed.className = "lost"; };
  source.addEventListener("parts", (event) => {
    for (const [id, html] of Object.entries(JSON.parse(event.data))) {
      const old = document.getElementById(id);
      if (!old && id.startsWith("tenant-")) return location.reload(); // a tenant that is new
      if (old && !html) old.remove();
      if (!old || !html || old.contains(document.activeElement)) continue;
      const template = document.createElement("template");
      template.innerHTML = html.trim();
      const fresh = template.content.firstElementChild;
      for (const [detail, open] of openBefore(old)) {
        const same = fresh.querySelector(`#${CSS.escape(detail)}`);
        if (same) same.open = open;
      }
      old.replaceWith(fresh);
    }
  });
})();
