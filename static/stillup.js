// Two kindnesses, both without which every page works: instants in the reader's zone with UTC beside, and a page that
// is left open keeps itself current.
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

async function refresh() {
  const main = document.querySelector("main[data-refresh]");
  if (!main || document.hidden || main.contains(document.activeElement) || main.querySelector("details[open]")) return;
  try {
    const answer = await fetch(location.href, { cache: "no-cache", credentials: "same-origin", redirect: "error" });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const next = fresh.querySelector("main[data-refresh]");
    if (!next) return;
    localise(next);
    main.replaceChildren(...next.childNodes);
    document.title = fresh.title;
  } catch {
    // The server can't be reached: what is shown stays, with the time at which it was true.
  }
}

localise(document);
const main = document.querySelector("main[data-refresh]");
if (main) setInterval(refresh, 1000 * Number(main.dataset.refresh));
document.addEventListener("htmx:afterSwap", (event) => localise(event.target));
