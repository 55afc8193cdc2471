// Loaded in <head> without defer, so that the chosen theme is there before the first paint. Pages work without it.
const themes = ["system", "light", "dark"];
const root = document.documentElement;
function setTheme(theme) {
  if (theme === "system") delete root.dataset.theme; else root.dataset.theme = theme;
  for (const button of document.querySelectorAll("[data-theme-button]")) {
    button.querySelector(".vh").textContent = `Theme: ${theme}. Change it`;
    button.title = `Theme: ${theme}`;
  }
}
function storedTheme() {
  try { return themes.includes(localStorage.theme) ? localStorage.theme : "system"; } catch { return "system"; }
}
setTheme(storedTheme());

document.addEventListener("DOMContentLoaded", () => setTheme(root.dataset.theme || "system"));

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if ("themeButton" in button.dataset) {
    const next = themes[(themes.indexOf(root.dataset.theme || "system") + 1) % themes.length];
    try { localStorage.theme = next; } catch { /* private mode: for this page only */ }
    setTheme(next);
  }
  if (button.dataset.opens) document.getElementById(button.dataset.opens).showModal();
  if (button.dataset.copies) {
    await navigator.clipboard.writeText(button.dataset.copies);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }
});

// Filters apply when they are chosen. Without a script their form has a button.
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
});

// A live page says when its stream is interrupted, and of when its numbers are.
let heard = new Date();
document.addEventListener("htmx:sseMessage", () => { heard = new Date(); });
document.addEventListener("htmx:sseOpen", () => showLost(false));
document.addEventListener("htmx:sseError", () => showLost(true));
function showLost(isLost) {
  const note = document.getElementById("lost");
  if (!note) return;
  note.querySelector("time").textContent = heard.toISOString().slice(11, 19);
  note.hidden = !isLost;
}

// A run that ends loads its page again: whoever reads it with a keyboard or a screen reader stays in it.
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.target.id === "main") event.target.focus({ preventScroll: true });
});

// What an action was refused for, where htmx would show nothing.
document.addEventListener("htmx:responseError", (event) => {
  const note = document.getElementById("refusal");
  if (!note || event.detail.xhr.getResponseHeader("HX-Redirect")) return;
  let why = "This did not work: reload the page, and try again.";
  try { why = JSON.parse(event.detail.xhr.responseText).detail; } catch { /* no JSON */ }
  note.querySelector("span").textContent = why;
  note.hidden = false;
});
document.addEventListener("htmx:beforeRequest", () => {
  const note = document.getElementById("refusal");
  if (note) note.hidden = true;
});
