"""Writes crds/*.yaml, the chart's copy of them, docs/reference.md and the methods on docs/techniques.md from the models. `make crds`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "operator/src"))

from skipjack.api.crd import crds  # noqa: E402
from skipjack.api.reference import reference  # noqa: E402
from skipjack.methods.page import page  # noqa: E402

WRAPPER = "{{- if .Values.crds.enabled }}\n%s{{- end }}\n"
BEGIN, END = "<!-- methods -->\n", "<!-- /methods -->"
KEEP = "  annotations:\n    {{- if .Values.crds.keep }}\n    helm.sh/resource-policy: keep\n    {{- end }}\n    skipjack.dev/from: crds\n"


class Dumper(yaml.SafeDumper):
    """No aliases: a CRD says everything in full."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def files() -> dict[Path, str]:
    """Path → content of everything that is generated."""
    techniques = ROOT / "docs/techniques.md"
    before, _, rest = techniques.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    written: dict[Path, str] = {
        ROOT / "docs/reference.md": reference(),
        techniques: f"{before}{BEGIN}{page()}{END}{after}",
    }
    for crd in crds():
        text = yaml.dump(crd, Dumper=Dumper, sort_keys=False, width=120)
        name = f"{crd['spec']['names']['plural']}.yaml"
        written[ROOT / "crds" / name] = text
        escaped = text.replace("{{", "{{ `{{` }}")
        written[ROOT / "charts/skipjack/templates/crds" / name] = WRAPPER % escaped.replace(
            "metadata:\n", f"metadata:\n{KEEP}", 1
        )
    return written


if __name__ == "__main__":
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
