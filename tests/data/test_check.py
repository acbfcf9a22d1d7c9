"""`data check` on folders and datasets: everything planted is found, and nothing else."""

import shutil

import numpy as np
import pytest
from PIL import Image

from dlcli.data import catalog, check_dataset, check_files, findings, guess, survey
from dlcli.data.class_folder import LEAST
from dlcli.errors import DataError
from tests.data.wav_files import write_tones

IMAGES, SOUNDS = check_files.READERS["image"], check_files.READERS["audio"]


def soft(seed, size=(40, 50)):
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 5, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def pets(tmp_path):
    """Twelve pictures of each of two classes, with nothing wrong."""
    for k, name in enumerate(("cat", "dog")):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(12):
            soft(100 * k + i).save(tmp_path / "pets" / name / f"{i:02}.png")
    return tmp_path / "pets"


def check(root, reader=IMAGES, **how):
    return check_files.check(root, reader, progress=lambda done, total: None, **how)


def found(report):
    return {(one.kind, one.samples) for one in report.findings}


def test_a_good_folder_has_no_findings_and_its_figures(pets):
    report = check(pets)
    assert report.findings == []
    assert report.counts == {"all": {"cat": 12, "dog": 12}}
    assert report.facts["width"] == {"min": 40, "median": 40, "max": 40}
    assert report.facts["formats"] == {"PNG": 24}
    assert report.facts["bytes"] == sum(path.stat().st_size for path in pets.rglob("*.png"))
    assert report.compared == "content and looks"
    assert report.to_json()["ok"] is True


def plant_unreadable(pets):
    path = pets / "cat" / "03.png"
    path.write_bytes(path.read_bytes()[:50])
    return {("unreadable", ("cat/03.png",))}


def plant_empty_file(pets):
    (pets / "dog" / "03.png").write_bytes(b"")
    return {("unreadable", ("dog/03.png",))}


def plant_dangling_link(pets):
    (pets / "cat" / "99.png").symlink_to("nowhere")
    return {("unreadable", ("cat/99.png",))}


def plant_link_to_itself(pets):
    (pets / "cat" / "99.png").symlink_to("99.png")
    return {("layout", ("cat/99.png",)), ("unreadable", ("cat/99.png",))}


def plant_duplicate(pets):
    shutil.copy(pets / "cat" / "00.png", pets / "cat" / "copy.png")
    return {("duplicate", ("cat/00.png", "cat/copy.png"))}


def plant_conflict(pets):
    shutil.copy(pets / "cat" / "00.png", pets / "dog" / "copy.png")
    return {("conflict", ("cat/00.png", "dog/copy.png"))}


def plant_near_duplicate(pets):
    Image.open(pets / "cat" / "00.png").resize((80, 100)).save(pets / "cat" / "large.jpg")
    return {("near-duplicate", ("cat/00.png", "cat/large.jpg"))}


def plant_near_conflict(pets):
    Image.open(pets / "cat" / "00.png").resize((80, 100)).save(pets / "dog" / "large.jpg")
    return {("near-conflict", ("cat/00.png", "dog/large.jpg"))}


def plant_misnamed(pets):
    soft(7).save(pets / "cat" / "photo.jpg", "PNG")
    return {
        ("misnamed", ("cat/photo.jpg",)),
        ("duplicate", ("cat/07.png", "cat/photo.jpg")),
    }


def plant_empty_class(pets):
    (pets / "newt").mkdir()
    return {("empty-class", ("newt",))}


def plant_small_class(pets):
    (pets / "newt").mkdir()
    for i in range(LEAST - 1):
        soft(300 + i).save(pets / "newt" / f"{i}.png")
    return {("too-few", ("newt",)), ("few", ("newt",))}


def plant_uncommon_class(pets):
    (pets / "newt").mkdir()
    for i in range(9):
        soft(300 + i).save(pets / "newt" / f"{i}.png")
    return {("few", ("newt",))}


def plant_ignored(pets):
    for name in ("a.heic", "b.heic", "Thumbs.db"):
        (pets / "dog" / name).write_bytes(b"x")
    (pets / "README.txt").write_bytes(b"x")
    (pets / "dog" / ".hidden.png").write_bytes(b"x")
    return {("ignored", ("dog",))}


def plant_folder_in_class(pets):
    (pets / "dog" / "puppies").mkdir()
    return {("layout", ("dog/puppies",))}


PLANTS = [value for name, value in sorted(globals().items()) if name.startswith("plant_")]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__.removeprefix("plant_"))
def test_what_is_planted_is_found_and_nothing_else(pets, plant):
    expected = plant(pets)
    report = check(pets)
    assert found(report) == expected
    assert report.to_json()["ok"] is False


def test_unequal_classes_are_told(pets):
    for i in range(110):
        soft(500 + i).save(pets / "dog" / f"more{i}.png")
    assert found(check(pets)) == {("imbalance", ("dog", "cat"))}


def test_the_other_endings_are_counted(pets):
    plant_ignored(pets)
    assert [one.why for one in check(pets).of("ignored")] == ["2 .heic, 1 .db"]


def test_a_copy_in_another_part_is_a_leak(tmp_path, pets):
    root = tmp_path / "divided"
    for part, numbers in (("train", range(6)), ("test", range(6, 12))):
        for kind in ("cat", "dog"):
            (root / part / kind).mkdir(parents=True, exist_ok=True)
            for i in numbers:
                shutil.copy(pets / kind / f"{i:02}.png", root / part / kind)
    clean = {kind for kind, _ in found(check(root))}
    assert clean == {"few"}
    shutil.copy(pets / "cat" / "00.png", root / "test" / "cat" / "again.png")
    soft(1).resize((60, 75)).save(root / "test" / "dog" / "other.png")
    leaks = {one for one in found(check(root)) if one[0] != "few"}
    assert leaks == {
        ("leak", ("train/cat/00.png", "test/cat/again.png")),
        ("near-leak", ("train/cat/01.png", "test/dog/other.png")),
        ("near-conflict", ("train/cat/01.png", "test/dog/other.png")),
    }


def test_looks_can_be_left_out(pets):
    plant_near_duplicate(pets)
    report = check(pets, looks=False)
    assert (report.findings, report.compared) == ([], "content")


def test_folders_beside_the_parts_and_classes_that_training_lacks_are_told(pets, tmp_path):
    root = tmp_path / "divided"
    shutil.copytree(pets, root / "train")
    shutil.copytree(pets / "cat", root / "test" / "bird")
    (root / "validation").mkdir()
    layout = {samples for kind, samples in found(check(root)) if kind == "layout"}
    assert layout == {("validation",), ("bird",)}


def test_sounds_are_checked_as_images_are(tmp_path):
    root = write_tones(tmp_path / "tones", ("high", "low"), 10)
    files = sorted((root / "high").iterdir())
    files[0].write_bytes(b"RIFF")
    shutil.copy(files[1], root / "low" / "copy.wav")
    report = check(root, SOUNDS)
    names = [f"high/{path.name}" for path in files]
    assert ("unreadable", (names[0],)) in found(report)
    assert ("conflict", (names[1], "low/copy.wav")) in found(report)
    assert report.facts["rates"] == {"8000": 20}
    assert report.facts["seconds"]["max"] > 0


def test_a_folder_without_samples_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no images"):
        check(tmp_path)


def test_a_flat_folder_has_no_classes(pets):
    report = check(pets / "cat")
    assert (report.classes, report.counts, report.findings) == ([], {"all": {"": 12}}, [])


def test_many_files_are_looked_at_in_batches_with_their_progress(pets, monkeypatch):
    monkeypatch.setattr(check_files, "AT_ONCE", 5)
    said = []
    report = check_files.check(pets, IMAGES, progress=lambda *at: said.append(at))
    assert report.samples == 24
    assert said == [(5, 24), (10, 24), (15, 24), (20, 24), (24, 24)]


def test_a_dataset_by_name_is_counted_and_has_no_copies():
    dataset = catalog.load("digits")
    report = check_dataset.check(dataset, progress=lambda done, total: None)
    assert report.findings == []
    assert sum(report.counts["test"].values()) == 359


def test_rows_of_a_table_that_are_the_same_are_found(tmp_path):
    path = tmp_path / "reviews.csv"
    rows = [f"text number {i},{'good' if i % 2 else 'bad'}" for i in range(40)]
    rows += ["text number 0,bad", "Text number 1 ,bad"]
    path.write_text("text,label\n" + "\n".join(rows) + "\n")
    dataset = catalog.load(str(path), kind=None if guess.kind(path) == "image" else _kind(path))
    report = check_dataset.check(dataset, progress=lambda done, total: None)
    same = {frozenset(one.samples) for one in report.findings}
    assert frozenset({f"{path}:2", f"{path}:42"}) in same
    assert [one.why for one in report.of("conflict")] == ["bad and good"]


def _kind(path):
    from dlcli.data import kind

    return kind.of(guess.kind(path))


def test_small_images_are_compared_by_content_alone():
    report = check_dataset.check(catalog.load("digits"), progress=lambda done, total: None)
    assert report.compared == "content"


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.csv", "text,label\n", "text"),
        ("a.tsv", "\ufeffLabel\tText\n", "text"),
        ("a.csv", "item,user,rating\n", "ratings"),
        ("a.csv", "date,value\n", "series"),
        ("a.txt", "To be, or not to be\n", "characters"),
    ],
)
def test_the_kind_of_a_file_follows_from_its_header(tmp_path, name, content, kind):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    assert guess.kind(path) == kind


def test_the_kind_of_a_folder_follows_from_the_endings(pets, tmp_path):
    assert guess.kind(pets) == "image"
    assert guess.kind(write_tones(tmp_path / "tones", ("high", "low"), 3)) == "audio"
    assert guess.kind(tmp_path / "tones" / "high") == "audio"
    with pytest.raises(DataError, match="no such file"):
        guess.kind(tmp_path / "none")


def test_an_option_that_one_kind_alone_has_says_which_it_is(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("1\n")
    assert guess.kind(path, ["horizon"]) == "series"
    assert guess.kind(path, ["direction"]) == "picture_pair"


@pytest.mark.parametrize("name", ["photo.JPG", "sound.wav"])
def test_a_single_sample_is_no_dataset(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match="is one sample"):
        guess.kind(tmp_path / name)


def test_a_folder_of_other_files_is_refused_with_what_it_holds(tmp_path):
    (tmp_path / "values.csv").write_text("a,b\n")
    with pytest.raises(DataError, match="holds no images") as caught:
        check(tmp_path)
    assert caught.value.why == "1 .csv"


def test_every_kind_of_finding_is_explained():
    for about in findings.KINDS.values():
        assert about.severity in (findings.ERROR, findings.WARNING)
        assert about.title
        assert about.advice


def test_a_folder_that_cannot_be_listed_is_told(pets, monkeypatch):
    listing = survey.entries

    def refuse(folder):
        if folder.name == "dog":
            raise DataError(f"{folder}: cannot be listed", why="Permission denied")
        return listing(folder)

    monkeypatch.setattr(survey, "entries", refuse)
    report = check(pets)
    assert ("unreadable", ("dog",)) in found(report)
    assert report.of("unreadable")[0].why == "Permission denied"
