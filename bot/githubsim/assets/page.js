"use strict";

// Brings the parts of the page that are marked live up to date, and leaves the rest, with a half-typed comment, alone.
(() => {
  const pause = 2000;
  const served = new Map();
  for (const part of document.querySelectorAll("[data-live]")) {
    served.set(part.dataset.live, part.innerHTML);
  }

  // A folded part is known by what it belongs to, so that another one above it does not open or close it.
  function folds(part) {
    return [...part.querySelectorAll("details")].map((d) => {
      const owner = d.closest("[id]") ?? part;
      return { d, key: `${owner.id} ${[...owner.querySelectorAll("details")].indexOf(d)}` };
    });
  }

  function replace(part, next) {
    const open = new Set(folds(part).filter((f) => f.d.open).map((f) => f.key));
    part.innerHTML = "";
    part.append(...document.importNode(next, true).childNodes);
    for (const f of folds(part)) {
      if (open.has(f.key)) f.d.open = true;
    }
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

  // Somebody else sees other buttons.
  document.getElementById("user").addEventListener("change", (event) => {
    const address = new URL(location.href);
    address.searchParams.set("as", event.target.value);
    history.replaceState(null, "", address);
    refresh().catch(() => {}); // the loop says so where nobody answers
  });
})();
