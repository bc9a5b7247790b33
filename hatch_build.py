"""The page of the package: its address, and the README with whole links.

A package page has no folders beside it, so ``docs/guide.md`` leads nowhere there. With ``AMORTIZED_ADDRESS``, the
address of the public repository, links and pictures of the README lead to the released version. Without it the README
stays as it is and the page has no links to the project: right for a build that is not published.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

RELATIVE = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|#)([^)]+)\)")


def with_whole_links(readme: str, address: str, tag: str) -> str:
    """``readme`` with links to files of the repository at ``address`` in place of relative ones.

    >>> with_whole_links("[a](docs/a.md) ![b](b.png) [c](https://c)", "https://host/us/it", "v1")
    '[a](https://host/us/it/blob/v1/docs/a.md) ![b](https://host/us/it/raw/v1/b.png) [c](https://c)'
    """

    def whole(found: re.Match[str]) -> str:
        picture, text, path = found.groups()
        return f"{picture}[{text}]({address}/{'raw' if picture else 'blob'}/{tag}/{path})"

    return RELATIVE.sub(whole, readme)


class Page(MetadataHookInterface):
    def update(self, metadata: dict) -> None:
        readme = Path(self.root, "README.md").read_text(encoding="utf-8")
        address = os.environ.get("AMORTIZED_ADDRESS", "").rstrip("/")
        metadata["urls"] = {}
        if address:
            tag = f"v{metadata['version']}"
            readme = with_whole_links(readme, address, tag)
            metadata["urls"] = {
                "Documentation": f"{address}/blob/{tag}/docs/index.md",
                "Source": address,
                "Issues": f"{address}/issues",
                "Changelog": f"{address}/blob/{tag}/docs/changelog.md",
            }
        metadata["readme"] = {"content-type": "text/markdown", "text": readme}
