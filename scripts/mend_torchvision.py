"""Mends `import torchvision` in this environment, when and only when it is broken.

A torchvision wheel beside a CPU-only torch of another build fails at import with `operator
torchvision::nms does not exist`: its Python part describes operators that its binary part did not
register. `make` runs this file after the install. Where the import fails in this way, two files are
put into site-packages: a `.pth` that Python reads at start, and a module with an import hook that
declares the two operators just before torchvision is imported. Nothing else changes:
`torchvision.ops.nms` and `torchvision.io` remain unusable, transforms and models work. Remove the
files once the pair matches.
"""

import subprocess
import sys
import sysconfig
from pathlib import Path

HOOK = '''"""Declares operators that torchvision's binary lacks (scripts/mend_torchvision.py)."""

import sys


class _DeclareOperators:
    """Steps in once, when torchvision is first looked for, and finds nothing itself."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(cls)
            import torch

            # The library object holds the declarations; it must live as long as torchvision.
            cls.library = torch.library.Library("torchvision", "DEF")
            for operator in ("nms", "qnms"):
                schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
                cls.library.define(operator + schema)
        return None


sys.meta_path.insert(0, _DeclareOperators)
'''


def import_error() -> str:
    """What a failing `import torchvision` says in a fresh process; nothing where it works."""
    run = subprocess.run(
        [sys.executable, "-c", "import torchvision"], capture_output=True, text=True, check=False
    )
    return run.stderr if run.returncode else ""


def main() -> None:
    error = import_error()
    if not error:
        return
    if "operator torchvision::nms does not exist" not in error:
        sys.exit(error)
    site = Path(sysconfig.get_path("purelib"))
    (site / "_mend_torchvision.py").write_text(HOOK)
    (site / "mend_torchvision.pth").write_text("import _mend_torchvision\n")
    if error := import_error():
        sys.exit(f"torchvision still cannot be imported after mending:\n{error}")
    sys.stderr.write("mended the import of torchvision (scripts/mend_torchvision.py says how)\n")


if __name__ == "__main__":
    main()
