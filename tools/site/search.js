// Search over the sections of all pages; PAGES comes from index.js, so that it works from a folder without a server.
const box = document.querySelector("#search"), found = document.querySelector("#found");
const fold = (text) => text.toLowerCase().normalize("NFD").replace(/[\u0300-\u036f]/g, "");
const safe = (text) => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);

function excerpt(text, word) {
  const at = Math.max(0, fold(text).indexOf(word)), start = Math.max(0, at - 50);
  const [before, hit, after] = [text.slice(start, at), text.slice(at, at + word.length), text.slice(at + word.length, at + 110)];
  return `${start ? "…" : ""}${safe(before)}<mark>${safe(hit)}</mark>${safe(after)}…`;
}

function score(section, words) {
  const title = fold(section.title), text = fold(section.text);
  if (!words.every((word) => title.includes(word) || text.includes(word))) return 0;
  return words.reduce((sum, word) => sum + (title.includes(word) ? 10 : 0) + Math.min(5, text.split(word).length - 1), 1);
}

box.addEventListener("input", () => {
  const words = fold(box.value).split(/\s+/).filter((word) => word.length > 1);
  found.style.display = words.length ? "block" : "none";
  if (!words.length) return;
  const hits = PAGES.map((section) => [score(section, words), section]).filter(([points]) => points > 0);
  hits.sort((a, b) => b[0] - a[0]);
  found.innerHTML = hits.slice(0, 8).map(([, s]) =>
    `<a href="${s.page}#${s.anchor}"><strong>${safe(s.title)}</strong> <small>${safe(s.name)}</small><small>${excerpt(s.text, words[0])}</small></a>`
  ).join("") || "<small>Nothing found.</small>";
});
box.form.addEventListener("submit", (event) => {
  event.preventDefault();
  found.querySelector("a")?.click();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") found.style.display = "none";
});
