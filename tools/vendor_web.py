"""Copy what the web page is given of others' code, and write down what it is.

The versions stand in tools/web/package-lock.json, with npm's own hashes. MANIFEST.json names each
copied file with its package, version and SHA-256, so that a test can tell a file that was touched.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NPM = ROOT / "tools" / "web"
VENDOR = ROOT / "stillhouse" / "server" / "web" / "vendor"

FILES = {
    "markdown-it": ("dist/browser/markdown-it.esm.min.mjs", "LICENSE"),
    "dompurify": ("dist/purify.es.mjs", "LICENSE"),
    "@highlightjs/cdn-assets": (
        "es/highlight.min.js",
        "styles/github.min.css",
        "styles/github-dark.min.css",
        "LICENSE",
    ),
    "swagger-ui-dist": (
        "swagger-ui-bundle.js",
        "swagger-ui-bundle.js.LICENSE.txt",
        "swagger-ui.css",
        "LICENSE",
        "NOTICE",
    ),
    # Its style sheet names older font formats too; a browser of this decade asks for woff2 alone.
    "katex": ("dist/katex.mjs", "dist/katex.min.css", "dist/fonts/*.woff2", "LICENSE"),
}


def main() -> int:
    """Install the locked packages beside package.json and copy the files that the page loads."""
    subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=NPM, check=True
    )
    shutil.rmtree(VENDOR, ignore_errors=True)
    manifest = []
    for package, patterns in FILES.items():
        source = NPM / "node_modules" / package
        version = json.loads((source / "package.json").read_text(encoding="utf-8"))["version"]
        folder = VENDOR / ("highlightjs" if package.startswith("@highlightjs") else package)
        for path in sorted(path for pattern in patterns for path in source.glob(pattern)):
            target = folder / ("fonts" if path.suffix == ".woff2" else "") / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            manifest.append(
                {
                    "file": target.relative_to(VENDOR).as_posix(),
                    "package": package,
                    "version": version,
                    "sha256": hashlib.sha256(target.read_bytes()).hexdigest(),
                }
            )
    text = json.dumps(manifest, indent=1) + "\n"
    (VENDOR / "MANIFEST.json").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
