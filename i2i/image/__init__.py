"""Bytes to pixels and back: the one door for pictures, in training, command line and service."""

from i2i.image.decoding import Header, decode, read, read_header
from i2i.image.encoding import FORMATS, MEDIA_TYPES, SUFFIXES, Format, encode, encode_labels
from i2i.image.files import write_bytes
from i2i.image.picture import ImageError, Picture

__all__ = [
    "FORMATS",
    "MEDIA_TYPES",
    "SUFFIXES",
    "Format",
    "Header",
    "ImageError",
    "Picture",
    "decode",
    "encode",
    "encode_labels",
    "read",
    "read_header",
    "write_bytes",
]
