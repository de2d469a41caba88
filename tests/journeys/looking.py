"""A person's eyes on a page: what broke, what was loaded, what can't be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, Page

# Runs before anything of the page: a policy that was broken, and a script of a stranger that ran.
_WATCH = """
window.__violations = [];
document.addEventListener("securitypolicyviolation", (e) => window.__violations.push(e.violatedDirective + " " + e.blockedURI));
window.alert = () => window.__violations.push("a stranger's script ran");
"""

# The texts whose contrast with what lies behind them is below WCAG's AA: 4.5, or 3 where the text is large.
_FAINT = r"""
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = rgba(getComputedStyle(e).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return rgba("Canvas");
  };
  const light = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const text = texts.currentNode.textContent.trim();
    if (!text || !element.checkVisibility() || element.closest("svg, .hidden, .skip, option")) continue;
    const style = getComputedStyle(element);
    const [one, other] = [light(rgba(style.color)), light(behind(element))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) found.push(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return [...new Set(found)];
}
"""

# What a page owes those who don't see it.
_UNNAMED = """
() => {
  const found = [];
  if (document.querySelectorAll("h1").length !== 1) found.push("not one h1");
  if (document.querySelectorAll("main").length !== 1) found.push("not one main");
  if (!document.documentElement.lang) found.push("no language");
  for (const e of document.querySelectorAll("svg:not([aria-hidden]):not([role=img][aria-label])")) found.push("an svg without a name");
  for (const e of document.querySelectorAll("input:not([type=hidden]), select")) if (!e.labels.length) found.push(`${e.name} without a label`);
  for (const e of document.querySelectorAll("a, button")) if (!e.textContent.trim()) found.push("a link without a text");
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  if (new Set(ids).size !== ids.length) found.push("an id stands twice");
  for (const e of document.querySelectorAll("[aria-labelledby]")) if (!document.getElementById(e.getAttribute("aria-labelledby"))) found.push("a label that is not there");
  return found;
}
"""


@dataclass
class Look:
    """One browser window, and what went wrong in it."""

    page: Page
    address: str
    said: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def at(self, path: str) -> Look:
        """Go there and wait until everything is loaded."""
        self.page.goto(self.address + path, wait_until="load")
        return self

    def faults(self) -> list[str]:
        """Everything that is wrong with the page as it stands."""
        inner, width = self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        found = [f"console: {line}" for line in self.said]
        found += [f"loaded from elsewhere: {url}" for url in self.strangers]
        found += [f"policy: {line}" for line in self.page.evaluate("window.__violations")]
        found += [f"faint: {line}" for line in self.page.evaluate(_FAINT)]
        found += [f"unnamed: {line}" for line in self.page.evaluate(_UNNAMED)]
        if inner > width:
            found.append(f"scrolls sideways: {inner} > {width}")
        return found


@contextmanager
def window(browser: Browser, address: str, *, width: int = 1440, **options: Any) -> Iterator[Look]:
    """A window of a new person, without cookies."""
    options = {"viewport": {"width": width, "height": 900}, **options}
    context = browser.new_context(**options)
    context.add_init_script(_WATCH)
    look = Look(context.new_page(), address)
    look.page.set_default_timeout(15_000)
    look.page.on(
        "console", lambda message: look.said.append(message.text) if message.type in ("error", "warning") else None
    )
    look.page.on("pageerror", lambda error: look.said.append(str(error)))
    look.page.on(
        "request", lambda request: None if request.url.startswith(address) else look.strangers.append(request.url)
    )
    try:
        yield look
    finally:
        context.close()
