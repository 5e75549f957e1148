"""Bytes to text: the encodings that instruments and spreadsheets write."""

from __future__ import annotations

import codecs

from powderlens.core.errors import PatternError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MAX_CONTROL_SHARE = 0.01


def decode_text(data: bytes, who: str) -> str:
    """Decode UTF-8 (with or without a mark), UTF-16 and UTF-32 with a mark, UTF-16 without one, or Windows Latin.

    Args:
        data: the file's bytes.
        who: the file's name, for the message.

    Raises:
        PatternError: the bytes are not text.
    """
    text = _decode(data, who)
    head = text[:20_000]
    control = sum(1 for c in head if c < " " and c not in "\t\n\r\f\v\x1a") + head.count("\x7f") + head.count("\ufffd")
    if control > _MAX_CONTROL_SHARE * len(head):
        raise PatternError(f"{who}: is a binary file of no known pattern format; export the scan as two-column text")
    return text


def _decode(data: bytes, who: str) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return data.decode(encoding)
            except UnicodeDecodeError as error:
                raise PatternError(
                    f"{who}: starts as {encoding} text but byte {error.start} is not; save it again as UTF-8"
                ) from None
    head = data[:2000]
    if len(head) >= 4 and head[1::2].count(0) > 0.9 * len(head[1::2]) and head[::2].count(0) == 0:
        return data.decode("utf-16-le", errors="replace")
    if len(head) >= 4 and head[::2].count(0) > 0.9 * len(head[::2]) and head[1::2].count(0) == 0:
        return data.decode("utf-16-be", errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        try:
            return data.decode("cp1252")
        except UnicodeDecodeError:
            return data.decode("latin-1")
