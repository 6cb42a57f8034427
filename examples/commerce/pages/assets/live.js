// Keeps a page up to date: the server sends each part that has changed, under the id that it has.
const live = document.querySelector("[data-live]");
if (live) {
  const source = new EventSource(live.dataset.live);
  source.onmessage = (message) => {
    const part = document.createElement("template");
    part.innerHTML = message.data;
    const old = document.getElementById(part.content.firstElementChild.id);
    const open = [...old.querySelectorAll("details[open]")].map((it) => it.id);
    old.replaceWith(part.content);
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  };
}
