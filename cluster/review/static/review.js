// Keys of the review page. Everything they do has a link, a button or a field, marked with data-key.
"use strict";

const form = document.getElementById("review");
const help = document.getElementById("help");
let isChanged = false;

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
  const meant = [...document.querySelectorAll("[data-key]")].find((element) => element.dataset.key === event.key);
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
form?.addEventListener("submit", () => { isChanged = false; });
window.addEventListener("beforeunload", (event) => { if (isChanged) event.preventDefault(); });
