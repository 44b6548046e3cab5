// Keys over the pages, which work without them. What is current is the address's fragment, so the back button finds it again.
"use strict";

const items = [...document.querySelectorAll("article.pair")];
const said = document.getElementById("said");
const keys = document.getElementById("keys");
const LAST = "datakit.last"; // the form that gave the last flag
const OFF = "datakit.keys";

function current() {
  return items.findIndex((item) => item.hasAttribute("aria-current"));
}

function show(at) {
  items.forEach((item) => item.removeAttribute("aria-current"));
  const item = items[at];
  item.setAttribute("aria-current", "true");
  item.focus({ preventScroll: true });
  item.scrollIntoView({ block: "start" });
  history.replaceState(null, "", `#${item.id}`);
}

function move(step) {
  const at = current() + step;
  if (at >= 0 && at < items.length) return show(at);
  const link = document.getElementById(at < 0 ? "earlier" : "later");
  if (!link || (at < 0 && current() < 0)) return tell(at < 0 ? "This is the first." : "This is the last.");
  location.assign(link.href + (at < 0 ? "#last" : "#first"));
}

function tell(text) {
  said.textContent = text;
}

function formOf(at) {
  return items[at] && items[at].querySelector("form.flag");
}

function give(form, flag) {
  form.requestSubmit(form.querySelector(`button[value="${flag}"]`));
}

function undo() {
  const last = sessionStorage.getItem(LAST);
  const form = [...document.querySelectorAll("form.flag")].find((one) => signature(one) === last);
  if (!form) return tell("Nothing to undo on this page.");
  sessionStorage.removeItem(LAST);
  give(form, "undo");
}

function signature(form) {
  return [...form.querySelectorAll("input[type=hidden]:not([name=back])")].map((input) => input.value).join("\n");
}

const actions = {
  j: () => move(1),
  k: () => move(-1),
  x: () => formOf(current()) ? give(formOf(current()), "exclude") : tell("Choose one first, with j."),
  n: () => formOf(current()) ? formOf(current()).querySelector("input[name=note]").focus() : tell("Choose one first, with j."),
  u: undo,
  Enter: () => items[current()] && items[current()].dataset.prompt ? location.assign(items[current()].dataset.prompt) : false,
  "/": () => { const search = document.getElementById("search"); return search ? search.focus() : location.assign("/#search"); },
  "?": () => { const help = document.getElementById("help"); help.open = !help.open; help.querySelector("summary").focus(); },
};

document.addEventListener("keydown", (event) => {
  const target = event.target;
  if (event.key === "Escape" && target.matches("input, select")) return target.blur();
  if (event.ctrlKey || event.metaKey || event.altKey || !keys.checked) return;
  if (target.matches("input, select, textarea") || (event.key === "Enter" && target.matches("a, button, summary"))) return;
  const action = actions[event.key];
  if (action && action() !== false) event.preventDefault();
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("form.flag")) return;
  const flag = event.submitter ? event.submitter.value : "note";
  if (flag !== "undo") sessionStorage.setItem(LAST, signature(form));
});

// Enter in a note saves the note, whatever button comes first.
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches("form.flag input[name=note]")) {
    event.preventDefault();
    if (event.target.value.trim()) give(event.target.form, "note");
  }
});

document.addEventListener("focusin", (event) => {
  const at = items.indexOf(event.target.closest("article.pair"));
  if (at >= 0 && at !== current()) {
    items.forEach((item) => item.removeAttribute("aria-current"));
    items[at].setAttribute("aria-current", "true");
  }
});

keys.checked = localStorage.getItem(OFF) !== "off";
keys.addEventListener("change", () => localStorage.setItem(OFF, keys.checked ? "on" : "off"));

const wanted = location.hash.slice(1);
const start = wanted === "first" ? 0 : wanted === "last" ? items.length - 1 : items.findIndex((item) => item.id === wanted);
if (wanted === "search") document.getElementById("search")?.focus();
else if (items.length && start >= 0) show(start);
if (document.getElementById("searching")) {
  const again = setTimeout(() => location.reload(), 1000);
  addEventListener("beforeunload", () => clearTimeout(again)); // who goes elsewhere is not called back
}
