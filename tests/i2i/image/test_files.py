"""Pictures in files: what a file holds, and how one is replaced."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from i2i.image import (
    FORMATS,
    ImageError,
    read,
    read_header,
    write_bytes,
)
from i2i.image.files import replacing
from tests.i2i.makers import VALID, smooth


def test_read_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(VALID["png"][:60])
    with pytest.raises(ImageError, match=r"broken\.png") as caught:
        read(path)
    assert caught.value.code == "truncated"
    with pytest.raises(FileNotFoundError, match=r"missing\.png"):
        read(tmp_path / "missing.png")


def test_write_replaces_whole_files(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    for data in (b"first", b"second"):
        write_bytes(path, data)
        assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


def test_a_private_file_is_private_from_its_first_byte_on(tmp_path: Path) -> None:
    with replacing(tmp_path / "key", mode=0o600) as file:
        assert os.fstat(file.fileno()).st_mode & 0o777 == 0o600
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_an_error_of_the_callers_block_keeps_its_words(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"^the reason$"), replacing(tmp_path / "picture.png"):
        raise OSError("the reason")
    assert not list(tmp_path.iterdir())


def test_write_into_what_is_no_folder_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError, match=r"file/picture\.png"):
        write_bytes(tmp_path / "file" / "picture.png", b"data")
    with pytest.raises(FileNotFoundError, match=r"folder/picture\.png"):
        write_bytes(tmp_path / "folder" / "picture.png", b"data")


def test_a_full_disk_keeps_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"earlier")
    script = """
import resource, signal, sys
from pathlib import Path
from i2i.image import write_bytes
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_bytes(Path(sys.argv[1]), bytes(5000))
except OSError as error:
    sys.exit(0 if error.filename == sys.argv[1] else 1)
sys.exit(2)
"""
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_the_format_is_told_by_content(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(VALID["bmp"])
    np.testing.assert_array_equal(read(path).pixels, smooth())
    assert {read_header(data).format for data in VALID.values()} == {*FORMATS, "bmp"}
