"use strict";
const all = [...document.querySelectorAll(".trajectory")];
const words = new Map(all.map((one) => [one, one.textContent.toLowerCase()]));
const chosen = [...document.querySelectorAll("select.f-tag")];
const [iteration, text, count, toggle] = ["f-iteration", "f-text", "f-count", "f-open"].map((id) => document.getElementById(id));
function apply() {
  const wanted = text.value.trim().toLowerCase();
  let shown = 0;
  for (const one of all) {
    const fits =
      chosen.every((select) => !select.value || one.dataset.tags.split(" ").includes(select.value)) &&
      (!iteration.value || one.dataset.iteration === iteration.value) &&
      (!wanted || words.get(one).includes(wanted));
    one.hidden = !fits;
    shown += fits;
  }
  count.textContent = `${shown} of ${all.length}`;
}
if (text) {
  for (const control of [...chosen, iteration, text]) control.addEventListener("input", apply);
  toggle?.addEventListener("click", () => {
    const seen = all.filter((one) => !one.hidden);
    const closed = !seen.every((one) => one.open);
    for (const one of seen) one.open = closed;
  });
  apply();
}
