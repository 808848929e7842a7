"""Write the lock files beside this script: exact versions with hashes, and no index address.

run.txt    everything that the stages import, but torch
dev.txt    run.txt and what tests, linters and builds need
torch.txt  torch alone, by the hashes of its CUDA builds and of the CPU builds found in pip's find-links
cuda.txt   what the CUDA builds of torch need beside it on Linux; a CPU build goes without

Under images/requirements are parts of run.txt, for the images:

base.txt   what every image holds
torch.txt  what all images with torch hold besides; torch itself is in the files above
STAGE.txt  what the image of a stage holds besides
wheel.txt  what builds the package's wheel, which no image holds

Run it with `make lock`. Each file is installed with `pip install --require-hashes --no-deps`.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
IMAGES = HERE.parent / "images" / "requirements"
CUDA = re.compile(r"(nvidia|cuda|triton)\b")
#: Extras of every image, and of some stages those beside the one of the stage's own name.
EVERYWHERE = ("s3", "tracking-client")
MORE_EXTRAS = {"train": ("tracking-client-train",)}
TORCH_STAGES = ("tune", "train", "attack-tune", "attack")
STAGES = ("extract", "preprocess", *TORCH_STAGES, "evaluate")
WHEEL = ("hatchling", "packaging", "pathspec", "pluggy", "trove-classifiers")


def compiled(*options: str) -> list[str]:
    """Resolve the project for every supported Python and platform; return one block of text a package.

    ``options`` say which extras and groups; what they leave out is left out.
    """
    command = [
        *(sys.executable, "-m", "uv", "pip", "compile", str(HERE.parent / "pyproject.toml"), *options),
        *("--universal", "--python-version", "3.11", "--generate-hashes", "--no-header"),
        *("--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "--quiet"),
        *("--constraints", str(HERE / "constraints.in")),
    ]
    text = subprocess.run(command, check=True, capture_output=True, text=True, cwd=HERE.parent).stdout
    blocks = re.split(r"\n(?=[a-z0-9])", text.strip())
    return [block for block in blocks if not block.startswith("lstm-adversarial-attack")]


def cpu_wheel_hashes(version: str) -> list[str]:
    """Return the hashes of CPU builds of torch in the folder that PIP_FIND_LINKS names, if any."""
    folder = os.environ.get("PIP_FIND_LINKS", "")
    wheels = sorted(Path(folder).glob(f"torch-{version}+cpu-*.whl")) if folder else []
    return [hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in wheels]


def known_cpu_hashes() -> list[str]:
    """Return the hashes that torch.txt lists already, so that none is lost where no wheel is at hand."""
    file = HERE / "torch.txt"
    return re.findall(r"sha256:([0-9a-f]{64})", file.read_text()) if file.exists() else []


def write(name: str, blocks: list[str], folder: Path = HERE) -> None:
    """Write one lock file."""
    (folder / name).write_text("\n".join(blocks) + "\n")


def name_of(block: str) -> str:
    """Return the package that a block of a lock file is of."""
    return block.partition("==")[0]


def write_images(run: list[str]) -> None:
    """Write the lock files of the images: blocks of ``run``, so that versions are the same everywhere."""

    def needed(*extras: str) -> set[str]:
        options = [option for extra in extras for option in ("--extra", extra)]
        return {name_of(block) for block in compiled(*options, "--constraints", str(HERE / "run.txt"))}

    torch = {"torch", *(name_of(block) for block in run if CUDA.match(block))}
    names = {stage: needed(*EVERYWHERE, stage, *MORE_EXTRAS.get(stage, ())) - torch for stage in STAGES}
    base = needed(*EVERYWHERE)
    with_torch = set.intersection(*(names[stage] for stage in TORCH_STAGES))
    files = {"base": base, "torch": with_torch - base, "wheel": set(WHEEL)}
    files |= {stage: found - base - (with_torch if stage in TORCH_STAGES else set()) for stage, found in names.items()}
    IMAGES.mkdir(parents=True, exist_ok=True)
    for file, wanted in files.items():
        write(f"{file}.txt", [block for block in run if name_of(block) in wanted], IMAGES)


def main() -> None:
    """Write them all."""
    run, dev = compiled("--all-extras", "--group", "build"), compiled("--all-extras", "--group", "dev")
    (torch,) = [block for block in run if block.startswith("torch==")]
    version = torch.split()[0].removeprefix("torch==")
    same_version = (HERE / "torch.txt").exists() and f"torch=={version} " in (HERE / "torch.txt").read_text()
    more = cpu_wheel_hashes(version) + (known_cpu_hashes() if same_version else [])
    for digest in dict.fromkeys(digest for digest in more if digest not in torch):
        torch += f" \\\n    --hash=sha256:{digest}"
    accelerated = [block for block in run if CUDA.match(block)]
    left_out = {torch.split()[0], *(block.split()[0] for block in accelerated)}
    write("torch.txt", [torch])
    write("cuda.txt", accelerated)
    write("run.txt", [block for block in run if block.split()[0] not in left_out])
    write("dev.txt", [block for block in dev if block.split()[0] not in left_out])
    write_images(run)


if __name__ == "__main__":
    main()
