"""A person at a browser without JavaScript: signs in, reads pages, fills in forms."""

from __future__ import annotations

from html.parser import HTMLParser
from types import TracebackType
from typing import Self

import httpx

from tests.journeys.stack import PASSWORD, Stack


class Page(HTMLParser):
    """What a page says, and the fields of its forms, by the forms' order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.forms: list[dict[str, str]] = []
        self.actions: list[str] = []  # where each form goes
        self.buttons: dict[str, int] = {}  # the number of a button's form by what stands on it
        self.words: list[str] = []
        self._hidden = 0
        self._textarea = self._select = ""
        self._button = False
        self._options: list[tuple[str, bool]] = []
        self.feed(source)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def form_with(self, field: str) -> dict[str, str]:
        """The values of the form that has the field."""
        return next(dict(form) for form in self.forms if field in form)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        name = attributes.get("name", "")
        if tag in ("script", "style"):
            self._hidden += 1
        elif tag == "form":
            self.forms.append({})
            self.actions.append(attributes.get("action", ""))
        elif not self.forms:
            return
        elif tag == "button":
            self._button = True
        elif tag == "option" and self._select:
            self._options.append((attributes.get("value", ""), "selected" in attributes))
        elif name:
            self._begin_field(tag, name, attributes)

    def _begin_field(self, tag: str, name: str, attributes: dict[str, str]) -> None:
        if tag == "textarea":
            self._textarea = name
            self.forms[-1][name] = ""
        elif tag == "select":
            self._select, self._options = name, []
        elif tag == "input" and attributes.get("type") not in ("checkbox", "radio"):
            self.forms[-1][name] = attributes.get("value", "")
        elif tag == "input" and "checked" in attributes:
            self.forms[-1][name] = attributes.get("value", "on")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._hidden -= 1
        elif tag == "textarea":
            self._textarea = ""
        elif tag == "button":
            self._button = False
        elif tag == "select" and self._select:
            chosen = [value for value, selected in self._options if selected] or [v for v, _ in self._options[:1]]
            if chosen:
                self.forms[-1][self._select] = chosen[0]
            self._select = ""

    def handle_data(self, data: str) -> None:
        if self._textarea:
            # A line break right after the tag is the form's, not the text's.
            self.forms[-1][self._textarea] += data.removeprefix("\n") if not self.forms[-1][self._textarea] else data
        elif not self._hidden:
            self.words.append(data)
            if self._button and data.strip():
                self.buttons[data.strip()] = len(self.forms) - 1


class Person:
    """Somebody at a browser; `with Person(stack)` is signed in as the admin."""

    def __init__(self, stack: Stack, *, name: str = "admin", password: str = PASSWORD) -> None:
        self._credentials = {"username": name, "password": password}
        self.browser = httpx.Client(base_url=stack.address, follow_redirects=True, timeout=30)

    def __enter__(self) -> Self:
        form = self.read("/admin/login/").form_with("username")
        self.send("/admin/login/", {**form, **self._credentials})
        if "Signed in as" not in self.read("/dashboard/").text:
            self.browser.close()
            raise AssertionError("could not sign in")
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.browser.close()

    def read(self, path: str) -> Page:
        answer = self.browser.get(path)
        assert answer.status_code == 200, (path, answer.status_code)
        return Page(answer.text)

    def press(self, page: Page, label: str) -> Page:
        """The page after a button whose form has nothing to fill in."""
        number = page.buttons[label]
        return self.send(page.actions[number], page.forms[number])

    def send(self, path: str, form: dict[str, str]) -> Page:
        answer = self.browser.post(path, data=form, headers={"Referer": str(self.browser.base_url)})
        assert answer.status_code == 200, (path, answer.status_code, Page(answer.text).text[-2000:])
        return Page(answer.text)
