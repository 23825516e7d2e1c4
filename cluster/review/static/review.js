// Keys of the review page. Everything they do has a link, a button or a field, marked with data-key.
"use strict";

const form = document.getElementById("review");
const help = document.getElementById("help");
let isChanged = document.querySelector("[role=alert]") !== null;  // what was refused is stored nowhere
let isSent = false;

function isText(element) {
  return element.matches("textarea, input, select");
}

document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.altKey || help.open) return;
  if (isText(event.target)) {
    if (event.key === "Escape") event.target.blur();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && form?.contains(event.target)) {
      event.preventDefault();
      form.requestSubmit(document.getElementById("save"));
    }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.repeat) return;
  const key = event.shiftKey ? event.key : event.key.toLowerCase();  // caps lock is no shift
  const meant = [...document.querySelectorAll("[data-key]")].find((element) => element.dataset.key === key);
  if (!meant) return;
  event.preventDefault();
  if (isText(meant)) {
    meant.focus();
    meant.setSelectionRange(meant.value.length, meant.value.length);
  } else {
    meant.click();
  }
});

document.getElementById("show-help").addEventListener("click", () => help.showModal());

form?.addEventListener("input", () => { isChanged = true; });
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  if (isSent) event.preventDefault();  // a second key before the next page has come is no second action
  isSent = true;
  if (event.target === form) isChanged = false;
});
window.addEventListener("pageshow", () => { isSent = false; });
window.addEventListener("beforeunload", (event) => {
  if (isChanged) {
    event.preventDefault();
    isSent = false;  // whoever stays may act again
  }
});
