import asyncio
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from i2i.image import ImageError, Picture, encode
from service.regions import polygons, run_lengths

LABELS = "/v1/models/bright/predict"

masks = arrays(
    np.uint8,
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    elements=st.integers(0, 2),
    fill=st.nothing(),
)


def drawn(rings, shape):
    """Pixels inside: those with an odd number of upright sides to their left."""
    inside = np.zeros(shape, bool)
    for ring in rings:
        for (x, y), (to_x, to_y) in zip(ring, np.roll(ring, -1, 0), strict=True):
            assert (x == to_x) != (y == to_y), "each side is upright or level"
            inside[min(y, to_y) : max(y, to_y), x:] ^= x == to_x
    return inside


def pieces(mask):
    """How many parts of a mask are connected by edges, by flooding."""
    left, count = {tuple(place) for place in np.argwhere(mask)}, 0
    while left:
        count += 1
        found = [left.pop()]
        while found:
            y, x = found.pop()
            for place in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if place in left:
                    left.remove(place)
                    found.append(place)
    return count


@given(masks)
def test_the_polygons_drawn_give_the_labels_back_each_region_once(labels):
    found = list(polygons(labels))
    again = np.full(labels.shape, 255, np.uint8)
    for region in found:
        inside = drawn(region.rings, labels.shape)
        assert np.count_nonzero(inside) == region.area
        assert pieces(inside) == 1
        assert (again[inside] == 255).all()
        again[inside] = region.label
    assert np.array_equal(again, labels)
    assert len(found) == sum(pieces(labels == label) for label in range(3))


@given(masks)
def test_rings_turn_at_each_corner_the_outer_first_and_clockwise(labels):
    for region in polygons(labels):
        for i, ring in enumerate(region.rings):
            x, y = ring.T
            area = np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2
            assert (area > 0) == (i == 0)
            steps = np.roll(ring, -1, 0) - ring
            assert ((steps[:, 0] == 0) != (np.roll(steps, 1, 0)[:, 0] == 0)).all()


def test_the_corners_of_a_ring_with_an_island_are_as_drawn_by_hand():
    labels = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8)
    around, island = polygons(labels)
    assert [ring.tolist() for ring in around.rings] == [
        [[0, 0], [3, 0], [3, 3], [0, 3]],
        [[1, 1], [1, 2], [2, 2], [2, 1]],
    ]
    assert [ring.tolist() for ring in island.rings] == [[[1, 1], [2, 1], [2, 2], [1, 2]]]
    assert (around.label, around.area, island.label, island.area) == (1, 8, 0, 1)


def test_a_picture_of_several_strips_is_as_one_of_one():
    labels = np.random.default_rng(0).integers(0, 2, (700, 3), np.uint8)
    assert sum(region.area for region in polygons(labels)) == labels.size
    assert len(list(polygons(labels))) == pieces(labels == 0) + pieces(labels == 1)


@given(masks)
def test_run_lengths_give_each_class_back(labels):
    for label, counts in enumerate(run_lengths(labels, 4)):
        values = np.arange(len(counts)) % 2
        mask = np.repeat(values, counts).reshape(labels.shape, order="F")
        assert np.array_equal(mask, labels == label)
        assert 0 not in counts[1:]


def test_more_parts_than_a_reply_holds_are_refused():
    labels = np.indices((4, 4)).sum(0).astype(np.uint8) % 2
    assert len(list(polygons(labels, most=64))) == 16
    for parts in (polygons(labels, most=63), run_lengths(labels, 2, most=12)):
        with pytest.raises(ImageError, match="ask for the mask") as refusal:
            list(parts)
        assert refusal.value.code == "format_cannot_hold"


def test_the_service_gives_regions_as_json(client, png, pixels):
    labels = (pixels[..., 0] > 127).astype(np.uint8)
    accept = {"Accept": "application/json"}
    reply = client.post(f"{LABELS}?regions=polygons", content=png, headers=accept)
    assert reply.headers["Content-Type"] == "application/json"
    told = reply.json()
    assert (told["height"], told["width"], told["type"]) == (*labels.shape, "polygons")
    expected = [
        (region.label, region.area, [ring.tolist() for ring in region.rings])
        for region in polygons(labels)
    ]
    assert [(part["class"], part["area"], part["rings"]) for part in told["regions"]] == expected
    told = client.post(f"{LABELS}?regions=rle", content=png).json()
    assert [part["counts"] for part in told["regions"]] == list(run_lengths(labels, 2))
    assert [part["name"] for part in told["regions"]] == ["dark", "bright"]


def test_regions_that_are_larger_than_their_picture_are_held_while_they_are_sent(client):
    chequered = np.indices((64, 64)).sum(0)[..., None] % 2 * 255
    png = encode(Picture(chequered.astype(np.uint8)))
    coming = [{"type": "http.request", "body": png, "more_body": False}]
    held, sent = [], []

    async def receive():
        return coming.pop() if coming else await asyncio.Event().wait()

    async def send(message):
        sent.append(message.get("body", b""))
        metrics = await asyncio.to_thread(client.get, "/metrics")
        held.append(float(re.search("^i2i_held_bytes (.+)$", metrics.text, re.MULTILINE)[1]))

    scope = {
        "type": "http",
        "method": "POST",
        "path": LABELS,
        "query_string": b"regions=polygons",
        "headers": [],
    }
    asyncio.run(client.app(scope, receive, send))
    assert max(held) == len(b"".join(sent)) > 64**2 * 23


def test_regions_are_not_given_to_who_accepts_pictures_only(client, png):
    reply = client.post(f"{LABELS}?regions=rle", content=png, headers={"Accept": "image/*"})
    assert (reply.status_code, reply.json()["expected"]) == (406, "application/json")
