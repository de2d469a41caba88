"""Values as YAML that `checks.document` reads back as they were: lists indented, doubtful texts quoted."""

from __future__ import annotations

from typing import Any

import yaml

from checks.document import resolve


class _Dumper(yaml.SafeDumper):
    """Writes as people do."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - PyYAML's
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else '"' if resolve(text) != text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def as_yaml(data: Any) -> str:
    """The document."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
