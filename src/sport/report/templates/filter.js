"use strict";
const all = [...document.querySelectorAll(".trajectory")];
const words = new Map(all.map((one) => [one, one.textContent.toLowerCase()]));
const [kind, iteration, text, count] = ["f-kind", "f-iteration", "f-text", "f-count"].map((id) => document.getElementById(id));
function apply() {
  const wanted = text.value.trim().toLowerCase();
  let shown = 0;
  for (const one of all) {
    const fits =
      (!kind.value || one.dataset.tags.split(" ").includes(kind.value)) &&
      (!iteration.value || one.dataset.iteration === iteration.value) &&
      (!wanted || words.get(one).includes(wanted));
    one.hidden = !fits;
    shown += fits;
  }
  count.textContent = `${shown} of ${all.length}`;
}
if (text) {
  for (const control of [kind, iteration, text]) control.addEventListener("input", apply);
  document.getElementById("f-open").addEventListener("click", () => {
    const seen = all.filter((one) => !one.hidden);
    const open = !seen.every((one) => one.open);
    for (const one of seen) one.open = open;
  });
  apply();
}
