// Kindnesses, without which every page works: instants in the reader's zone with UTC beside, a page that is left open
// keeps itself current, and what is to be copied has a button for it.
"use strict";

const MINUTE = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const DATE = { day: "numeric", month: "short", year: "numeric" };
const FORMS = {
  minute: { ...DATE, ...MINUTE, timeZoneName: "short" },
  second: { ...DATE, ...MINUTE, second: "2-digit", timeZoneName: "short" },
  day: DATE,
  ago: { ...DATE, ...MINUTE, second: "2-digit", timeZoneName: "short" },
};

function write(instant, form, zone) {
  return new Intl.DateTimeFormat("en-GB", { ...FORMS[form], timeZone: zone }).format(instant);
}

function localise(root) {
  for (const zone of root.querySelectorAll("[data-zone]")) {
    zone.textContent = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  }
  for (const time of root.querySelectorAll("time[data-moment]")) {
    const instant = new Date(time.dateTime);
    const form = time.dataset.moment;
    delete time.dataset.moment;
    if (!FORMS[form] || Number.isNaN(instant.getTime())) continue;
    const here = write(instant, form);
    const there = write(instant, form, "UTC");
    if (here === there) continue;
    time.title = `${write(instant, "second")} · ${write(instant, "second", "UTC")}`;
    if (form === "ago" || form === "day") continue;
    // The day is said again only where it is another one in UTC.
    const sameDay = write(instant, "day") === write(instant, "day", "UTC");
    const short = sameDay ? there.slice(there.lastIndexOf(", ") + 2) : there;
    const utc = document.createElement("span");
    utc.className = "utc";
    utc.textContent = ` · ${short}`;
    const local = document.createElement("span");
    local.className = "nowrap";
    local.textContent = here;
    time.replaceChildren(local, utc);
  }
}

// What somebody reads or types in is left alone: an open body, a selected text, a field with the focus.
function isInUse(region) {
  if (region.contains(document.activeElement) || region.querySelector("details[open]")) return true;
  const chosen = getSelection();
  return !chosen.isCollapsed && region.contains(chosen.anchorNode);
}

async function refresh() {
  const regions = [...document.querySelectorAll("[data-refresh]")].filter((region) => !isInUse(region));
  if (document.hidden || !regions.length) return;
  try {
    const answer = await fetch(location.href, { cache: "no-cache", credentials: "same-origin", redirect: "error" });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const region of regions) {
      const next = fresh.getElementById(region.id);
      if (!next || isInUse(region)) continue;
      localise(next);
      region.className = next.className;
      region.dataset.refresh = next.dataset.refresh ?? region.dataset.refresh;
      region.replaceChildren(...next.childNodes);
    }
    document.title = fresh.title;
  } catch {
    // The server can't be reached: what is shown stays, with the time at which it was true.
  }
}

// The next look comes as soon as the region wants it that wants it soonest.
function keepCurrent() {
  const pauses = [...document.querySelectorAll("[data-refresh]")].map((region) => Number(region.dataset.refresh));
  if (pauses.length) setTimeout(() => refresh().finally(keepCurrent), 1000 * Math.min(...pauses));
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.textContent);
  } catch {
    // Over plain HTTP a page has no clipboard: what is selected can still be copied.
    getSelection().selectAllChildren(source);
    document.execCommand("copy");
  }
  const said = button.firstChild.textContent;
  if (said === "Copied") return;
  button.firstChild.textContent = "Copied";
  setTimeout(() => { button.firstChild.textContent = said; }, 2000);
}

localise(document);
keepCurrent();
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", () => copy(button));
}
document.addEventListener("htmx:afterSwap", (event) => localise(event.target));
