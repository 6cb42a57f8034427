// Keeps a page up to date: the server sends each part that has changed, under the id that it has.
const live = document.querySelector("[data-live]");
// While a mouse button or a finger is down, nothing is replaced: the press would be lost.
let pressed = false;
const waiting = [];
const REACHED = "a, button, input, select, textarea, summary";

function show(data) {
  const part = document.createElement("template");
  part.innerHTML = data;
  const next = part.content.firstElementChild;
  const old = document.getElementById(next.id);
  const open = [...old.querySelectorAll("details[open]")].map((it) => it.id);
  const focused = [...old.querySelectorAll(REACHED)].indexOf(document.activeElement);
  old.replaceWith(next);
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focused >= 0) next.querySelectorAll(REACHED)[focused]?.focus({ preventScroll: true });
}

function release() {
  // The click comes first.
  setTimeout(() => {
    pressed = false;
    waiting.splice(0).forEach(show);
  });
}

if (live) {
  addEventListener("pointerdown", () => { pressed = true; });
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, release);
  const source = new EventSource(live.dataset.live);
  source.onmessage = ({ data }) => { if (pressed) waiting.push(data); else show(data); };
}
