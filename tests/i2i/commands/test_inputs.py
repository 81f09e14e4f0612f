"""Which files are predicted, and where the answers go."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from i2i.commands.inputs import Found, find, output_paths, shared_stems


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `photos` of four pictures, two of one stem, beside a text and hidden files."""
    monkeypatch.chdir(tmp_path)
    names = ["b.png", "summer/a.JPG", "summer/b.png", "summer/deep/c.tiff", "notes.txt"]
    for name in [*names, ".hidden.png", ".thumbnails/a.png"]:
        path = Path("photos", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def targets(*inputs: str, output: str = "out") -> list[str]:
    found, _ = find(inputs, Path(output))
    return [path.as_posix() for _, path in output_paths(found, Path(output), ".png")]


def test_a_folder_keeps_its_tree(tree: Path) -> None:
    assert targets("photos") == [
        "out/b.png",
        "out/summer/a.png",
        "out/summer/b.png",
        "out/summer/deep/c.png",
    ]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("photos/**/*.png", ["out/b.png", "out/summer/b.png"]),
        ("photos/*/*", ["out/summer/a.png", "out/summer/b.png"]),
        ("photos/summer/[ab].*", ["out/a.png", "out/b.png"]),
        ("**/c.*", ["out/photos/summer/deep/c.png"]),
    ],
)
def test_a_pattern_keeps_the_tree_below_its_fixed_part(
    tree: Path, pattern: str, expected: list[str]
) -> None:
    assert targets(pattern) == expected


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tree: Path) -> None:
    Path("scan[1].png").touch()
    assert targets("scan[1].png") == ["out/scan[1].png"]


def test_brackets_in_the_name_of_a_folder_are_no_wildcards(tree: Path) -> None:
    Path("photos").rename("set [1]")
    assert targets("set [1]/*.png", "set [1]/summer/[ab].*") == [
        "out/b.png",
        "out/a.png",
        "out/b_1.png",
    ]
    # Opening it says that it is not there.
    assert targets("set [1]/none.png") == ["out/none.png"]


def test_a_picture_that_is_named_twice_is_predicted_once(tree: Path) -> None:
    assert targets("photos/b.png", "photos", "./photos/b.png").count("out/b.png") == 1


def test_what_was_written_is_no_input(tree: Path) -> None:
    before = targets("photos", output="photos/out")
    for path in before:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()
    assert targets("photos", output="photos/out") == before


@pytest.mark.parametrize("given", ["photos", "photos/**/*.png", "./photos/summer/.."])
def test_the_folder_of_the_pictures_is_no_output(tree: Path, given: str) -> None:
    with pytest.raises(ValueError, match="--output: expected another folder than"):
        find([given], Path("photos"))


@pytest.mark.parametrize("given", ["photos/empty", "photos/*.webp", "photos/*.txt"])
def test_no_pictures_is_an_error_before_any_work(tree: Path, given: str) -> None:
    Path("photos/empty").mkdir()
    with pytest.raises(ValueError, match="expected pictures"):
        find([given], Path("out"))


def test_no_two_outputs_share_a_path() -> None:
    files = [Path("a/x.png"), Path("b/x.jpg"), Path("x_1.png"), Path("out/x.png")]
    pairs = output_paths([Found(file) for file in files], Path("out"), ".png")
    assert len({target for _, target in pairs}) == len(files)
    assert Path("out/x.png") not in {target for _, target in pairs}


@pytest.mark.whole
def test_many_files_of_one_name_are_numbered_at_once() -> None:
    found = [Found(Path(f"camera{i}/frame.png")) for i in range(20_000)]
    pairs = output_paths(found, Path("out"), ".png")
    assert len({target for _, target in pairs}) == len(found)
    assert pairs[-1][1] == Path("out/frame_19999.png")


def test_names_that_need_a_number_are_told(tree: Path) -> None:
    Path("photos/b.jpg").touch()
    assert shared_stems(find(["photos"], Path("out"))[0]) == {
        Path("photos/b.png"),
        Path("photos/b.jpg"),
    }


def test_a_name_that_may_be_the_number_of_others_is_told(tree: Path) -> None:
    for name in ["b.jpg", "b_1.png", "b_1_2.png", "c_1.png", "c_2.png"]:
        Path("photos", name).touch()
    names = {path.name for path in shared_stems(find(["photos"], Path("out"))[0])}
    assert names == {"b.png", "b.jpg", "b_1.png"}


def test_an_output_that_is_a_link_in_a_circle_holds_no_picture(tree: Path) -> None:
    Path("loop").symlink_to("loop2")
    Path("loop2").symlink_to("loop")
    assert len(find(["photos"], Path("loop"))[0]) == 4


def test_pictures_of_formats_that_are_not_read_are_known(tree: Path) -> None:
    for name in ["photos/x.GIF", "photos/summer/y.heic", "photos/.z.gif"]:
        Path(name).touch()
    for given in (["photos", "photos/b.png"], ["photos/**"]):
        _, unread = find(given, Path("out"))
        assert sorted(path.name for path in unread) == ["x.GIF", "y.heic"]
    with pytest.raises(ValueError, match=r"only of kinds that are not read \(\.gif\)"):
        find(["photos/*.GIF"], Path("out"))


def test_a_link_that_leads_nowhere_is_not_left_out_for_opening_it_says_why(tree: Path) -> None:
    Path("photos/gone.png").symlink_to("elsewhere.png")
    Path("photos/loop.png").symlink_to("loop2.png")
    Path("photos/loop2.png").symlink_to("loop.png")
    assert {"out/gone.png", "out/loop.png"} <= set(targets("photos"))
    assert targets("photos/go*.png") == ["out/gone.png"]


def test_a_pattern_may_not_climb_out_of_the_output(tree: Path) -> None:
    with pytest.raises(ValueError, match=r"no \.\. behind a wildcard"):
        find(["photos/*/../*.png"], Path("out"))


def test_a_pattern_goes_through_no_links_and_finds_nothing_hidden(tree: Path) -> None:
    for name in ("one", "two"):
        Path("photos", name).symlink_to(".")
    Path("photos/.hidden").mkdir()
    Path("photos/.hidden/z.png").touch()
    assert targets("photos/**") == targets("photos/**/*.*") == sorted(targets("photos"))


@pytest.fixture
def nobody(tmp_path: Path) -> Iterator[None]:
    """The rights of any user: root may look everywhere."""
    tmp_path.chmod(0o755)
    own = os.getresuid()
    if own[0] == 0:
        os.setresuid(65534, 65534, 0)
    yield
    os.setresuid(*own)


def test_a_folder_that_may_not_be_looked_into_is_told_when_it_is_opened(
    tree: Path, request: pytest.FixtureRequest
) -> None:
    Path("photos").chmod(0)
    request.getfixturevalue("nobody")
    assert find(["photos"], Path("out"))[0] == [Found(Path("photos"))]
