import io

import numpy as np
import pytest
from PIL import Image

from i2i.image import FORMATS, MEDIA_TYPES, Picture, decode, encode, read_map
from i2i.spec import MapInfo
from service.body import _Form
from service.routes import create_app
from service.settings import Settings

PREDICT = "/v1/models/twice/predict"
LABELS = "/v1/models/bright/predict"
FORM = {"Content-Type": "multipart/form-data; boundary=x"}


def code_of(reply) -> tuple[int, str]:
    assert reply.headers["Content-Type"] == "application/problem+json"
    body = reply.json()
    assert list(body) == ["type", "title", "status", "code", "detail", "expected", "got"]
    assert body["status"] == reply.status_code
    return reply.status_code, body["code"]


def test_the_models_are_listed_by_their_specs(client, twice, bright):
    reply = client.get("/v1/models")
    assert reply.status_code == 200
    assert reply.json() == {"models": [bright.spec.to_dict(), twice.spec.to_dict()]}


def test_a_model_is_found_by_name_and_by_address(client, twice):
    for name in ("twice", twice.spec.address):
        assert client.get(f"/v1/models/{name}").json() == twice.spec.to_dict()
    assert code_of(client.get("/v1/models/twice@000000000000")) == (404, "unknown_model")


def test_a_picture_comes_back_as_the_model_gives_it(client, png, pixels):
    reply = client.post(PREDICT, content=png)
    assert reply.status_code == 200
    assert np.array_equal(decode(reply.content).pixels, pixels.repeat(2, 0).repeat(2, 1))


def test_the_replys_headers_tell_the_model_and_the_time_of_each_phase(client, png, twice):
    headers = client.post(PREDICT, content=png, headers={"X-Request-Id": "me-1"}).headers
    assert headers["Content-Type"] == "image/png"
    assert headers["X-Model"] == twice.spec.address
    assert headers["X-Request-Id"] == "me-1"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    phases = [entry.partition(";dur=") for entry in headers["Server-Timing"].split(", ")]
    assert [name for name, _, _ in phases] == ["decode", "queue", "run", "encode"]
    assert all(float(milliseconds) >= 0 for _, _, milliseconds in phases)


@pytest.mark.parametrize(
    "content_type", ["image/png", "application/json", "text/plain; charset=x", "", "image/tiff"]
)
def test_a_raw_body_is_read_whatever_its_content_type_says(client, png, content_type):
    reply = client.post(PREDICT, content=png, headers={"Content-Type": content_type})
    assert reply.status_code == 200


def test_a_multipart_field_gives_the_same_pixels_as_a_raw_body(client, png):
    form = client.post(PREDICT, files={"image": ("C:\\x\\..\\a.exe", png, "text/html")})
    assert form.content == client.post(PREDICT, content=png).content


def test_a_form_may_begin_with_an_empty_line(client, png):
    head = b'\r\n--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    assert client.post(PREDICT, content=head + png + b"\r\n--x--", headers=FORM).status_code == 200


def test_gray_stays_gray_and_alpha_is_kept(client, pixels):
    gray = client.post(PREDICT, content=encode(Picture(pixels[..., :1])))
    assert decode(gray.content).channels == 1
    half_clear = np.full(pixels.shape[:2], 128, np.uint8)
    reply = client.post(PREDICT, content=encode(Picture(pixels, half_clear)))
    assert np.unique(decode(reply.content).alpha).tolist() == [128]


@pytest.mark.parametrize("format", FORMATS)
def test_the_reply_is_in_the_format_asked_for(client, png, format):
    reply = client.post(PREDICT, params={"format": format}, content=png)
    assert reply.headers["Content-Type"] == MEDIA_TYPES[format]
    assert Image.open(io.BytesIO(reply.content)).format == format.upper()


def test_labels_come_as_an_indexed_mask_in_the_classes_colours(client, png, pixels):
    for params in ({}, {"view": "mask"}, {"format": "tiff"}):
        reply = client.post(LABELS, params=params, content=png)
        mask = Image.open(io.BytesIO(reply.content))
        assert mask.mode == "P"
        assert np.array_equal(np.asarray(mask), pixels[..., 0] > 127)
        assert mask.getpalette()[3:6] == [250, 200, 0]


def test_labels_come_as_overlay_and_as_confidence(client, png, pixels):
    overlay = client.post(LABELS, params={"view": "overlay", "format": "jpeg"}, content=png)
    assert decode(overlay.content).pixels.shape == pixels.shape
    confidence = client.post(LABELS, params={"view": "confidence"}, content=png)
    assert np.unique(decode(confidence.content).pixels).tolist() == [191]


def test_a_map_is_given_with_its_values_or_in_colour(
    models_of, make_predictor, client_of, png, pixels, tmp_path
):
    depths = make_predictor("depths", kind="map", map=MapInfo("m", 0, 1))
    models = models_of(depths)
    models.load()
    with client_of(create_app(models, Settings())) as client:
        path = "/v1/models/depths/predict"
        reply = client.post(path, params={"format": "tiff"}, content=png)
        (tmp_path / "map.tiff").write_bytes(reply.content)
        expected = pixels[..., 0] / np.float32(255)
        np.testing.assert_allclose(read_map(tmp_path / "map.tiff"), expected, atol=1e-6)
        shown = client.post(path, params={"format": "webp", "view": "colour"}, content=png)
        assert decode(shown.content).pixels.shape == pixels.shape
        blurred = client.post(path, params={"format": "jpeg"}, content=png)
        assert code_of(blurred) == (422, "format_cannot_hold")
    assert depths.engine.windows == 3  # the golden sample, and what could be held


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_a_mask_is_not_given_in_a_format_that_blurs_labels(client, png, format):
    reply = client.post(LABELS, params={"format": format}, content=png)
    assert code_of(reply) == (422, "format_cannot_hold")


@pytest.mark.parametrize(
    ("path", "got", "expected"),
    [
        (PREDICT + "?format=gif", "gif", "'png', 'jpeg', 'webp' or 'tiff'"),
        (PREDICT + "?format=", "", "'png', 'jpeg', 'webp' or 'tiff'"),
        (
            LABELS + "?view=heatmap",
            "heatmap",
            "'mask', 'overlay', 'confidence', 'values' or 'colour'",
        ),
        (PREDICT + "?view=overlay", "overlay", "no view"),
        (PREDICT + "?deadline_s=0", "0", "greater than 0"),
        (PREDICT + "?deadline_s=301", "301", "less than or equal to 300"),
        (PREDICT + "?deadline_s=nan", "nan", "less than or equal to 300"),
        (PREDICT + "?deadline_s=", "", "a valid number, unable to parse string as a number"),
        (PREDICT + "?fromat=png", "fromat", "format, view, regions, deadline_s"),
        (PREDICT + "?format=png&format=jpeg", "format", "once"),
        (LABELS + "?regions=boxes", "boxes", "'polygons' or 'rle'"),
        (PREDICT + "?regions=rle", "image", "a model of labels"),
        (LABELS + "?regions=rle&view=mask", "view", "no view beside regions"),
        (LABELS + "?regions=rle&format=png", "format", "no format beside regions"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(client, png, path, got, expected):
    reply = client.post(path, content=png)
    assert code_of(reply) == (400, "bad_parameter")
    assert (reply.json()["got"], reply.json()["expected"]) == (got, expected)


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/twice"])
def test_routes_without_parameters_refuse_any(client, path):
    assert code_of(client.get(path, params={"page": 2})) == (400, "bad_parameter")


@pytest.mark.parametrize(
    "form",
    [
        {"files": {"image": (None, "http://169.254.169.254/latest")}},
        {"files": {"image": (None, "file:///etc/passwd")}},
        {"files": {"picture": b"x"}},
        {"files": [("image", b"x"), ("image", b"y")]},
        {"files": {"image": b"x"}, "data": {"url": "http://localhost"}},
        {"files": {"image": b"x"}, "data": {"image": "y"}},
        {"files": {"image": b"x"}, "data": {"note": "y" * 10_000}},
        {"content": b"no form", "headers": {"Content-Type": "multipart/form-data"}},
        {"content": b"--x\r\n\r\n", "headers": FORM},
        {
            "content": b'--x\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n\xff\r\n--x--',
            "headers": {"Content-Type": "multipart/form-data; boundary=x; charset=undefined"},
        },
    ],
)
def test_a_form_with_anything_but_one_file_in_the_field_image_is_refused(client, form):
    reply = client.post(PREDICT, **form)
    assert code_of(reply) == (400, "bad_parameter")
    assert "multipart/form-data with one file" in reply.json()["expected"]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_form_in_pieces_holds_the_file_to_the_byte(png, size):
    boundary, tricky = b"b" * 20, b"\r\n--bbb" + png + b"\r\n--" + b"b" * 19 + b"\r\n\r\n-"
    head = b'Content-Disposition: form-data; name="image"; filename="a"\r\nContent-Type: x/y'
    body = b"--%b \r\n%b\r\n\r\n%b\r\n--%b--\r\n--bye" % (boundary, head, tricky, boundary)
    form = _Form(boundary)
    pieces = [form.take(body[at : at + size]) for at in range(0, len(body), size)]
    assert b"".join(pieces) == tricky
    assert form.complete


def test_a_form_that_nearly_ends_again_and_again_is_no_picture(client):
    body = b"--x\r\nContent-Disposition: form-data; name=image; filename=a\r\n\r\n"
    body += b"\r\n--" * 1000
    assert code_of(client.post(PREDICT, content=body, headers=FORM)) == (400, "empty")
    spaces = body + b"\r\n--x" + b" " * 1000
    assert code_of(client.post(PREDICT, content=spaces, headers=FORM)) == (400, "bad_parameter")


@pytest.mark.parametrize("address", ["/", "/livez", "/readyz", "/page/page.js"])
def test_a_head_tells_what_a_get_would(client, address):
    # The server itself leaves out the body.
    reply, whole = client.request("HEAD", address), client.get(address)
    assert reply.status_code == 200
    for name in ("Content-Length", "Content-Type"):
        assert reply.headers[name] == whole.headers[name]


def test_a_request_without_a_picture_is_empty(client):
    assert code_of(client.post(PREDICT)) == (400, "empty")
    assert code_of(client.post(PREDICT, files={"image": b""})) == (400, "empty")
    cut = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nabc'
    for form in (b"", b"-", cut):
        assert code_of(client.post(PREDICT, content=form, headers=FORM)) == (400, "empty")


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("*/*", 200),
        ("", 200),
        ("text/html, image/*;q=0.8", 200),
        ("image/PNG", 200),
        ("application/json", 406),
        ("image/webp", 406),
        ("image/png;q=0, text/*", 406),
        ("image/png;q=0, */*", 406),
        ("image/*;q=0, */*;q=1", 406),
        ("*/*;q=0, image/png", 200),
    ],
)
def test_accept_is_honoured(client, png, accept, status):
    reply = client.post(PREDICT, content=png, headers={"Accept": accept})
    assert reply.status_code == status
    if status == 406:
        assert code_of(reply) == (406, "not_acceptable")


@pytest.mark.parametrize(
    "path",
    [
        *("/page", "/page/index.html", "/page/../routes.py", "/v2/models"),
        *("/v1", "/v1/models/", "/v1/models/a/b", "/v1/models/twice/predict/"),
        *("/docs", "/redoc", "/docs.json", "/schema.json", "/static_content/main.css", "/healthz"),
    ],
)
def test_what_is_not_there_is_a_problem_too(client, path):
    assert code_of(client.get(path)) == (404, "not_found")


def test_another_method_is_told_which_there_is(client):
    reply = client.get(PREDICT)
    assert code_of(reply) == (405, "method_not_allowed")
    assert reply.headers["Allow"] == "POST"
    assert code_of(client.request("DELETE", "/v1/models")) == (405, "method_not_allowed")


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/models", "GET, HEAD"),
        ("/v1/models/twice", "GET, HEAD"),
        ("/v1/models:reload", "POST"),
        ("/v1/jobs/a", "DELETE, GET, HEAD"),
        ("/v1/jobs/a/result", "GET, HEAD"),
        ("/readyz", "GET, HEAD"),
        ("/", "GET, HEAD"),
    ],
)
def test_all_methods_of_an_address_are_told(client, path, methods):
    reply = client.request("PUT", path)
    assert (reply.status_code, reply.headers["Allow"]) == (405, methods)
    assert reply.json()["expected"] == methods


def test_an_unknown_model_is_refused(client, png):
    reply = client.post("/v1/models/thrice/predict", content=png)
    assert code_of(reply) == (404, "unknown_model")
    assert reply.json()["expected"] == "one of bright, twice"


def test_the_contract_describes_the_routes(client):
    contract = client.get("/openapi.json").json()
    assert set(contract["paths"]) == {
        "/v1/models",
        "/v1/models/{name}",
        "/v1/models:reload",
        "/v1/models/{name}/predict",
        "/v1/models/{name}/estimate",
        "/v1/models/{name}/jobs",
        "/v1/jobs/{id}",
        "/v1/jobs/{id}/result",
    }
    predict = contract["paths"]["/v1/models/{name}/predict"]["post"]
    assert {"multipart/form-data", "image/*"} == set(predict["requestBody"]["content"])
    replies = {*MEDIA_TYPES.values(), "application/json"}
    assert replies == set(predict["responses"]["200"]["content"])
    names = {parameter["name"] for parameter in predict["parameters"]}
    assert names == {"name", "format", "view", "regions", "deadline_s"}
    for route in contract["paths"].values():
        for operation in route.values():
            others = set(operation["responses"]) - {"200", "202", "204", "304"}
            assert others == {"4XX", "5XX"}
