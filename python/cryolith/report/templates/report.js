// SPDX-License-Identifier: BSD-3-Clause
"use strict";
(() => {
  document.body.classList.remove("js-off");
  const tilts = JSON.parse(document.getElementById("tilts").textContent);
  const movies = document.querySelector(".movies");
  const sheets = [...movies.querySelectorAll(".sheet")];
  const marks = [...movies.querySelectorAll(".left-out")];
  const thumbnails = [...document.querySelectorAll(".thumbnail")];
  const columns = Number(movies.dataset.columns), rows = Number(movies.dataset.rows);
  const slider = document.getElementById("tilt"), angle = document.getElementById("angle");
  const button = document.getElementById("play");
  let frame = Number(movies.dataset.start), timer = null, way = 1, inView = true;

  const show = (next) => {
    thumbnails[frame].classList.remove("current");
    frame = (next + tilts.length) % tilts.length;
    const x = -100 * (frame % columns) / columns, y = -100 * Math.floor(frame / columns) / rows;
    for (const sheet of sheets) sheet.style.transform = `translate(${x}%,${y}%)`;
    for (const mark of marks) mark.hidden = !tilts[frame].left_out;
    slider.value = frame;
    angle.textContent = tilts[frame].angle;
    thumbnails[frame].classList.add("current");
  };
  // Back and forth: a jump from the last tilt to the first would hide the small jumps one looks for.
  const step = () => {
    if (!inView) return;
    if (frame + way < 0 || frame + way >= tilts.length) way = -way;
    show(frame + way);
  };
  const play = (on) => {
    if (timer !== null) clearInterval(timer);
    timer = on && tilts.length > 1 ? setInterval(step, 90) : null;
    button.textContent = timer === null ? "▶" : "❚❚";
  };

  button.addEventListener("click", () => play(timer === null));
  slider.addEventListener("input", () => { play(false); show(Number(slider.value)); });
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input, button, a")) return;
    if (event.key === " ") { event.preventDefault(); play(timer === null); }
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      play(false); show(frame + (event.key === "ArrowLeft" ? -1 : 1));
    }
  });
  for (const thumbnail of thumbnails) {
    thumbnail.addEventListener("click", () => {
      play(false); show(Number(thumbnail.dataset.frame)); movies.scrollIntoView({ block: "nearest" });
    });
  }
  window.addEventListener("beforeprint", () => play(false));
  new IntersectionObserver((seen) => { inView = seen[0].isIntersecting; }).observe(movies);
  show(frame);
  if (!window.matchMedia("(prefers-reduced-motion: reduce)").matches) play(true);
})();
