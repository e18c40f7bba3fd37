"""What becomes of picture files of every kind: pixels, notes and refusals."""

import io
import shutil
import zlib

import datasets
import numpy as np
import pytest
from PIL import Image

from bequest.build import pictures
from bequest.build.decoding import CLEAR, DEEP, SEVERAL, decode, endings
from bequest.core.errors import RequestError
from bequest.core.find import find

NOISE = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
DEEP_NOISE = np.random.default_rng(1).integers(0, 65536, (8, 8), np.uint16)


def written(image, kind, **settings):
    content = io.BytesIO()
    image.save(content, kind, **settings)
    return content.getvalue()


def entry(tag, value, count=1, kind=4):
    """A field of a TIFF's directory: a number of 32 bits, or the place of some of 16."""
    parts = ((tag, 2), (kind, 2), (count, 4), (value, 4))
    return b"".join(number.to_bytes(width, "little") for number, width in parts)


def tiff_of(values, bits):
    """A grey TIFF of one strip, whose bits per sample Pillow may not write."""
    written_out = "".join(f"{int(value):0{bits}b}" for value in values.ravel())
    data = int(written_out, 2).to_bytes(len(written_out) // 8, "big")
    start = 8 + 2 + 12 * 9 + 4
    tags = {256: values.shape[1], 257: values.shape[0], 258: bits, 259: 1, 262: 1, 273: start}
    tags |= {277: 1, 278: values.shape[0], 279: len(data)}
    head = b"II*\0" + (8).to_bytes(4, "little") + len(tags).to_bytes(2, "little")
    return head + b"".join(entry(tag, value) for tag, value in tags.items()) + bytes(4) + data


# --- Pixels ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["BMP", "PNG", "PPM", "QOI", "TGA", "TIFF", "DIB"])
def test_formats_without_loss_keep_every_pixel(kind):
    found = decode(written(Image.fromarray(NOISE), kind), 8, 3)
    assert np.array_equal(found.pixels, NOISE.transpose(2, 0, 1))
    assert found.traits == frozenset()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_grey_of_16_bits_is_divided_by_its_full_range(kind):
    found = decode(written(Image.fromarray(DEEP_NOISE), kind), 8, 3)
    assert found.pixels.dtype == np.float32
    assert np.allclose(found.pixels, DEEP_NOISE / 65535, atol=1e-6)
    assert found.pixels.shape == (3, 8, 8)
    assert found.traits == {DEEP}


def test_big_endian_and_inverted_grey_of_16_bits():
    big = Image.frombytes("I;16B", (8, 8), DEEP_NOISE.astype(">u2").tobytes())
    assert np.allclose(decode(written(big, "TIFF"), 8, 1).pixels[0], DEEP_NOISE / 65535, atol=1e-6)
    white_is_zero = written(Image.fromarray(DEEP_NOISE), "TIFF", tiffinfo={262: 0})
    inverted = decode(white_is_zero, 8, 1).pixels[0]
    assert np.allclose(inverted, 1 - DEEP_NOISE / 65535, atol=1e-6)


def test_twelve_bits_of_tiff_have_their_own_range():
    values = DEEP_NOISE >> 4
    found = decode(tiff_of(values, 12), 8, 1)
    assert np.allclose(found.pixels[0], values / 4095, atol=1e-6)


def test_floats_from_0_to_1_are_taken_and_others_refused():
    shares = (DEEP_NOISE / 65535).astype(np.float32)
    assert np.array_equal(decode(written(Image.fromarray(shares), "TIFF"), 8, 1).pixels[0], shares)
    for odd in (shares * 255, shares - 0.5, np.where(shares > 0.9, np.nan, shares)):
        with pytest.raises(ValueError, match="not all from 0 to 1"):
            decode(written(Image.fromarray(odd.astype(np.float32)), "TIFF"), 8, 1)


def test_deep_pictures_are_turned_and_resized_within_their_range():
    steps = np.zeros((16, 16), np.uint16)
    steps[:8] = 65535
    turned = Image.Exif()
    turned[274] = 3
    found = decode(written(Image.fromarray(steps), "PNG", exif=turned), 10, 1).pixels[0]
    assert found[0, 0] == 0
    assert found[-1, 0] == 1
    assert found.min() >= 0
    assert found.max() <= 1


def png_of(pixels, colour):
    """A PNG of 16 bits; colour: 2 for three colours, 4 for grey with alpha, 6 for both."""
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(name, data):
        whole = name + data
        return len(data).to_bytes(4, "big") + whole + zlib.crc32(whole).to_bytes(4, "big")

    head = chunk(b"IHDR", (8).to_bytes(4, "big") * 2 + bytes([16, colour, 0, 0, 0]))
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + body


@pytest.mark.parametrize(("kind", "channels"), [("PNG", 3), ("PNG", 2), ("PNG", 4), ("PPM", 3)])
def test_colours_of_16_bits_are_refused(kind, channels):
    """Pillow reads such files, by their upper 8 bits and without a word, but writes none."""
    pixels = np.random.default_rng(2).integers(0, 65536, (8, 8, channels)).astype(">u2")
    content = b"P6 8 8 65535\n" + pixels.tobytes()
    if kind == "PNG":
        content = png_of(pixels, {2: 4, 3: 2, 4: 6}[channels])
    with pytest.raises(ValueError, match="16 bits per colour, of which only 8 would be read"):
        decode(content, 8, 3)


def test_colours_of_16_bits_in_tiff_are_refused():
    strip = bytes(8 * 8 * 6)
    content = tiff_of(np.zeros((8, 8), np.uint16), 16)
    start = content.index(strip[:128], 100)
    tags = content[:start].replace(*(entry(258, 16), entry(258, start, count=3, kind=3)))
    tags = tags.replace(entry(262, 1), entry(262, 2)).replace(entry(277, 1), entry(277, 3))
    tags = tags.replace(entry(279, 128), entry(279, len(strip)))
    tags = tags.replace(entry(273, start), entry(273, start + 6))
    with pytest.raises(ValueError, match="16 bits per colour"):
        decode(tags + (16).to_bytes(2, "little") * 3 + strip, 8, 3)


def test_whole_numbers_of_32_bits_are_refused():
    signed = Image.fromarray(DEEP_NOISE.astype(np.int32))
    with pytest.raises(ValueError, match="which is white is unknown"):
        decode(written(signed, "TIFF"), 8, 1)


# --- Transparency, frames, modes ---------------------------------------------------------------


def with_alpha(alpha):
    return Image.fromarray(np.dstack([NOISE, alpha]))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_hidden_colours_never_show(kind):
    alpha = np.full((8, 8), 255, np.uint8)
    alpha[:4] = 0
    settings = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    found = decode(written(with_alpha(alpha), kind, **settings), 8, 3)
    assert (found.pixels[:, :4] == 255).all()
    assert np.array_equal(found.pixels[:, 4:], NOISE.transpose(2, 0, 1)[:, 4:])
    assert found.traits == {CLEAR}


def test_alpha_that_hides_nothing_is_no_matter():
    found = decode(written(with_alpha(np.full((8, 8), 255, np.uint8)), "PNG"), 8, 3)
    assert np.array_equal(found.pixels, NOISE.transpose(2, 0, 1))
    assert found.traits == frozenset()


def test_half_transparent_grey_is_mixed_with_white():
    grey = Image.fromarray(np.dstack([np.zeros((8, 8), np.uint8), np.full((8, 8), 128, np.uint8)]))
    assert grey.mode == "LA"
    assert np.unique(decode(written(grey, "PNG"), 8, 1).pixels).tolist() == [127]


def test_a_transparent_colour_of_a_palette_becomes_white():
    paletted = Image.fromarray(NOISE).quantize(4)
    first = np.asarray(paletted) == 0
    found = decode(written(paletted, "PNG", transparency=0), 8, 3)
    assert (found.pixels[:, first] == 255).all()
    assert CLEAR in found.traits


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_of_several_frames_the_first_is_taken(kind):
    first, second = Image.new("RGB", (8, 8), "black"), Image.new("RGB", (8, 8), "white")
    settings = {"lossless": True} if kind == "WEBP" else {}
    content = written(first, kind, save_all=True, append_images=[second], **settings)
    found = decode(content, 8, 3)
    assert not found.pixels.any()
    assert found.traits == {SEVERAL}


@pytest.mark.parametrize("mode", ["1", "P", "CMYK", "YCbCr"])
def test_other_modes_become_colours_as_pillow_has_them(mode):
    image = Image.fromarray(NOISE).convert(mode)
    content = written(image, "JPEG" if mode == "YCbCr" else "TIFF")
    with Image.open(io.BytesIO(content)) as opened:
        wanted = np.asarray(opened.convert("RGB")).transpose(2, 0, 1)
    assert np.array_equal(decode(content, 8, 3).pixels, wanted)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_pictures_are_turned_as_their_tag_says(kind):
    upright = np.zeros((8, 8), np.uint8)
    upright[:4] = 255
    tag = Image.Exif()
    tag[274] = 6  # to be turned by a quarter, clockwise
    found = decode(written(Image.fromarray(upright), kind, exif=tag), 8, 1).pixels[0]
    assert found[:, 4:].min() > 200
    assert found[:, :4].max() < 50


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"%PDF-1.4", "not that of a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "not that of a picture"),
        (written(Image.fromarray(NOISE), "JPEG")[:-200], "runcated"),
        (written(Image.fromarray(NOISE), "BMP")[:-20], "runcated"),
    ],
)
def test_what_is_no_whole_picture_is_refused(content, said):
    with pytest.raises(ValueError, match=said):
        decode(content, 8, 3)


# --- Folders -----------------------------------------------------------------------------------


def draw(path, number, **settings):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(noise).save(path, **settings)


@pytest.fixture
def folder(tmp_path):
    for number in range(10):
        draw(tmp_path / "cat" / f"{number}.png", number)
        draw(tmp_path / "dog" / f"{number}.png", 50 + number)
    return tmp_path


def images(path, **fields):
    return find("tasks", "images")(path=str(path), size=8, **fields)


def count(task):
    return sum(map(len, task.splits.values()))


def test_every_ending_and_folders_within_are_read(folder):
    for number, ending in enumerate(["tif", "TIFF", "JFIF", "jpe", "webp", "bmp", "ppm", "gif"]):
        draw(folder / "cat" / "more" / "far" / f"{number}.{ending}", 100 + number)
    task = images(folder).load("t")
    assert count(task) == 28
    assert task.notes == ()
    assert {".jpg", ".jpeg", ".pgm", ".png", ".tif", ".avif"} <= endings() | {".avif"}
    assert not {".eps", ".pdf", ".jp2", ".svg"} & endings()


def test_what_is_left_out_is_counted(folder):
    for name in ("a.heic", "b.HEIC", "c.svg", "d.npy", "e"):
        (folder / "cat" / name).write_text("?")
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._0.png"):
        (folder / "cat" / name).write_text("?")
    draw(folder / "__MACOSX" / "cat" / "0.png", 900)
    draw(folder / "cat" / ".hidden.png", 901)
    draw(folder / "beside.png", 902)
    (folder / "labels.csv").write_text("?")
    (folder / "bird").mkdir()
    (folder / "dog" / "gone.png").symlink_to(folder / "nowhere.png")
    (folder / "dog" / "round").symlink_to(folder / "dog")
    task = images(folder).load("t")
    assert count(task) == 20
    assert task.labels == ("cat", "dog")
    assert task.notes == (
        "5 files were left out, as such are not read as pictures: "
        "2 .heic, 1 .svg, 1 .npy, 1 without ending",
        "2 files outside the folders of classes were left out: 1 .png, 1 .csv",
        "1 hidden files with the ending of a picture were left out",
        "2 links that lead nowhere, or back, were left out",
        "folders without a picture were left out: `bird`",
    )


def test_links_to_pictures_and_folders_elsewhere_are_followed(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    draw(elsewhere / "x.png", 700)
    (folder / "cat" / "link.png").symlink_to(elsewhere / "x.png")
    (folder / "dog" / "linked").symlink_to(elsewhere)
    assert count(images(folder).load("t")) == 21  # the same picture twice, with another label


def test_no_picture_says_so_and_which_endings_there_are(tmp_path):
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "0.heic").write_text("?")
    said = str(images(tmp_path).check()[0])
    assert "holds no picture in a folder of a class" in said
    assert "2 .heic" in said
    assert ".png" in said


def test_one_class_is_refused_before_anything_is_read(folder):
    for file in (folder / "dog").iterdir():
        file.unlink()
    said = str(images(folder).check()[0])
    assert "pictures of one class, `cat`; a task needs two" in said
    assert "without a picture were left out: `dog`" in said
    assert "did you mean" not in said


def test_a_folder_around_the_folder_of_classes_is_told(folder):
    for depth in ("", "more/"):
        around = folder / f"around{len(depth)}"
        for label in ("cat", "dog"):
            shutil.copytree(folder / label, around / "inner" / label / depth)
        (problem,) = images(around).check()
        assert "pictures of one class, `inner`" in problem.what
        assert problem.meant == str(around / "inner")
        assert images(problem.meant).check() == []


@pytest.mark.parametrize("side", ["val", "Valid", "dev", "VALIDATION"])
def test_names_of_the_validation_side(folder, side):
    for number in range(10):
        draw(folder / "Train" / "cat" / f"{number}.png", number)
        draw(folder / "Train" / "dog" / f"{number}.png", 50 + number)
    draw(folder / side / "cat" / "x.png", 300)
    assert len(images(folder).load("t").splits["validation"].ids) == 1


@pytest.mark.parametrize("side", ["test", "val", "train"])
def test_a_side_beside_classes_is_refused(folder, side):
    draw(folder / side / "0.png", 300)
    assert f"has the sides `{side}`, but no folder of a class in `train`" in str(
        images(folder).check()[0]
    )


def test_a_side_that_is_misspelt_is_refused(folder):
    for label in ("cat", "dog"):
        (folder / "train").mkdir(exist_ok=True)
        (folder / label).rename(folder / "train" / label)
    draw(folder / "vaildation" / "cat" / "0.png", 300)
    assert images(folder).check()[0].meant == "validation"


# --- Tasks -------------------------------------------------------------------------------------


def test_deep_and_other_pictures_in_one_task(folder, monkeypatch):
    values = (DEEP_NOISE >> 4).astype(np.uint16)
    Image.fromarray(values).save(folder / "cat" / "deep.png")
    task = images(folder).load("t")
    assert all(split.inputs.dtype == np.float32 for split in task.splits.values())
    held = np.concatenate([split.inputs for split in task.splits.values()])
    shallow = np.asarray(Image.open(folder / "dog" / "3.png")).transpose(2, 0, 1) / 255
    deep = np.repeat(values[None] / 65535, 3, axis=0)
    for wanted in (shallow, deep):
        assert np.isclose(held, wanted, atol=1e-6).all(axis=(1, 2, 3)).sum() == 1
    assert task.notes[0].startswith("1 pictures have more than 8 bits")
    assert "so they are dark" in task.notes[1]
    for bound in (5000, 100):  # too large once they are deep, and from the beginning
        monkeypatch.setattr(pictures, "_MEMORY", bound)
        lazy = images(folder).load("t")
        assert isinstance(lazy.splits["test"].inputs, pictures.ImageFiles)
        assert lazy.fingerprint == task.fingerprint
        assert lazy.splits["test"].inputs[:0].dtype == np.float32
        for name, split in lazy.splits.items():
            assert np.array_equal(split.inputs[:], task.splits[name].inputs)


def test_notes_of_alpha_and_frames_count(folder):
    alpha = np.zeros((8, 8), np.uint8)
    alpha[2:] = 255
    with_alpha(alpha).save(folder / "cat" / "clear.png")
    frames = [Image.fromarray(NOISE // each) for each in (2, 3)]
    frames[0].save(folder / "dog" / "film.gif", save_all=True, append_images=frames[1:])
    assert images(folder).load("t").notes == (
        "1 pictures have transparent parts, which became white",
        "1 pictures have several frames or pages; the first was used",
    )


def test_a_data_set_without_some_picture_says_which(tmp_path):
    rows = {"picture": [Image.fromarray(NOISE), None] * 2, "label": ["a", "b"] * 2}
    kinds = datasets.Features({"picture": datasets.Image(), "label": datasets.Value("string")})
    datasets.Dataset.from_dict(rows, features=kinds).save_to_disk(tmp_path / "pets")
    with pytest.raises(RequestError, match="picture 2: it is empty"):
        find("tasks", "dataset")(path=str(tmp_path / "pets"), size=8).load("t")
