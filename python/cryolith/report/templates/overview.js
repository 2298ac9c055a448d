// SPDX-License-Identifier: BSD-3-Clause
"use strict";
(() => {
  const rows = [...document.querySelectorAll("tbody tr")], heads = [...document.querySelectorAll("thead th")];
  const buttons = [...document.querySelectorAll("[data-only]")];
  const show = (only) => {
    for (const b of buttons) b.setAttribute("aria-pressed", String(b.dataset.only === only));
    for (const row of rows) row.hidden = Boolean(only) && row.dataset.state !== only;
  };
  for (const b of buttons) {
    b.addEventListener("click", () => show(b.getAttribute("aria-pressed") === "true" ? "" : b.dataset.only));
  }

  // A page of series that are on their way loads itself anew; what the reader chose stays.
  const key = "cryolith " + location.pathname;
  let kept = null;
  try { kept = JSON.parse(sessionStorage.getItem(key)); } catch { /* storage is switched off: nothing is kept */ }
  if (kept) {
    const head = heads.find((h) => h.textContent === kept.column);
    for (let i = 0; head && i < kept.clicks; i++) head.click();
    show(buttons.some((b) => b.dataset.only === kept.only) ? kept.only : "");
  }
  const seconds = Number(document.body.dataset.refresh);
  if (!seconds) return;
  setTimeout(() => {
    const head = heads.find((h) => h.hasAttribute("aria-sort"));
    const only = buttons.find((b) => b.getAttribute("aria-pressed") === "true");
    const now = {
      column: head ? head.textContent : "",
      clicks: head ? (head.getAttribute("aria-sort") === "descending" ? 2 : 1) : 0,
      only: only ? only.dataset.only : "",
    };
    try { sessionStorage.setItem(key, JSON.stringify(now)); } catch { /* as above */ }
    location.reload();
  }, 1000 * seconds);
})();
