"""Bytes to pixels and back: the one door for pictures, in training, command line and service."""

from i2i.image.decoding import Header, decode, read, read_header
from i2i.image.encoding import encode
from i2i.image.files import write_bytes
from i2i.image.formats import FORMATS, MEDIA_TYPES, SUFFIXES, Format, check_format
from i2i.image.maps import decode_map, encode_map, map_levels, read_map
from i2i.image.masks import MASK_FORMATS, decode_mask, read_mask
from i2i.image.picture import ImageError, Picture, darkness, to_8_bit
from i2i.image.strip_writer import StripWriter, open_writer

__all__ = [
    "FORMATS",
    "MASK_FORMATS",
    "MEDIA_TYPES",
    "SUFFIXES",
    "Format",
    "Header",
    "ImageError",
    "Picture",
    "StripWriter",
    "check_format",
    "darkness",
    "decode",
    "decode_map",
    "decode_mask",
    "encode",
    "encode_map",
    "map_levels",
    "open_writer",
    "read",
    "read_header",
    "read_map",
    "read_mask",
    "to_8_bit",
    "write_bytes",
]
