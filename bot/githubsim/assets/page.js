"use strict";

// Brings the parts of the page that are marked live up to date, and leaves the rest, with a half-typed comment, alone.
(() => {
  const pause = 2000;
  const served = new Map();
  for (const part of document.querySelectorAll("[data-live]")) {
    served.set(part.dataset.live, part.innerHTML);
  }

  function replace(part, next) {
    const open = [...part.querySelectorAll("details")].map((d) => d.open);
    part.innerHTML = "";
    part.append(...document.importNode(next, true).childNodes);
    part.querySelectorAll("details").forEach((d, i) => { if (open[i]) d.open = true; });
  }

  async function refresh() {
    const response = await fetch(location.href, { cache: "no-store" });
    if (!response.ok) throw new Error(response.statusText);
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = fresh.querySelector(`[data-live="${part.dataset.live}"]`);
      if (next && next.innerHTML !== served.get(part.dataset.live)) {
        served.set(part.dataset.live, next.innerHTML);
        replace(part, next);
      }
    }
  }

  async function loop() {
    const away = document.getElementById("away");
    if (!document.hidden) {
      try {
        await refresh();
        away.hidden = true;
      } catch {
        away.hidden = false;
      }
    }
    setTimeout(loop, pause);
  }
  setTimeout(loop, pause);
})();
