"""ClickHouse's HTTP interface, read: where clients put statements, parameters and settings.

Source: clickhouse-connect 1.12 (driver/_backend/httpcommon.py), ClickHouse's HTTP interface.
"""

import gzip
import io
import zlib
from base64 import b64decode
from collections.abc import Callable
from typing import IO

import lz4.frame
import zstandard
from aiohttp import web

from reports.engine import Question
from reports.statement import Failure

# Parameters of the interface itself. The user's name is not looked at: the endpoint has one reader.
_TRANSPORT = frozenset(
    {
        "query", "database", "default_format", "user", "password", "quota_key", "role",
        "session_id", "session_timeout", "session_check", "close_session", "query_id",
        "wait_end_of_query", "buffer_size", "client_protocol_version", "stacktrace", "log_comment",
        "send_progress_in_http_headers", "http_headers_progress_interval_ms",
        "enable_http_compression", "cancel_http_readonly_queries_on_client_close",
        "add_http_cors_header", "http_wait_end_of_query", "readonly", "compress", "decompress",
    }
)  # fmt: skip
_OPENERS: dict[str, Callable[[io.BytesIO], IO[bytes] | gzip.GzipFile]] = {
    "gzip": lambda data: gzip.GzipFile(fileobj=data),
    # clickhouse-connect writes one frame per block; this reader goes on to the next frame.
    "lz4": lz4.frame.LZ4FrameFile,
    "zstd": lambda data: zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True),
}
_PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lz4.frame.compress,
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
    "gzip": lambda data: gzip.compress(data, 1),
    "deflate": zlib.compress,
}


def password(request: web.Request) -> str | None:
    """Give the password, from the first place where ClickHouse's clients put it that has one.

    Source: ClickHouse, HTTP interface: Basic authorization, X-ClickHouse-Key, `password`."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return b64decode(value, validate=True).partition(b":")[2].decode("utf-8", "replace")
        except ValueError:
            return ""
    key: str | None = request.headers.get("X-ClickHouse-Key")
    return key if key is not None else request.query.get("password")


async def read_question(request: web.Request, max_body_bytes: int) -> Question | Failure:
    """Answer with what the client asks, at most `max_body_bytes` of it, unpacked.

    Raises: aiohttp's 413 for a body that is longer before it is unpacked."""
    fields: dict[str, str] = dict(request.query.items())
    headers = request.headers
    body = b""
    if request.content_type == "multipart/form-data":
        for key, value in (await request.post()).items():
            if not isinstance(value, str):
                return Failure(48, "External data is not offered. (NOT_IMPLEMENTED)")
            fields[key] = value
    else:
        unpacked = _unpacked(
            await request.read(), headers.get("Content-Encoding", ""), max_body_bytes
        )
        if isinstance(unpacked, Failure):
            return unpacked
        body = unpacked
    if fields.get("compress", "0") not in ("", "0") or fields.get("decompress", "0") not in (
        "",
        "0",
    ):
        why = "Blocks in ClickHouse's own compression are not offered: set compress=0"
        return Failure(48, f"{why}. (NOT_IMPLEMENTED)")
    query = fields.get("query", "").encode("utf-8", "surrogatepass")
    return Question(
        b"\n".join(part for part in (query, body) if part),
        fields.get("database") or str(headers.get("X-ClickHouse-Database", "")),
        fields.get("default_format") or str(headers.get("X-ClickHouse-Format", "TabSeparated")),
        {key[6:]: value for key, value in fields.items() if key.startswith("param_")},
        {
            key: value
            for key, value in fields.items()
            if key not in _TRANSPORT and not key.startswith("param_")
        },
    )


def packing(request: web.Request) -> str | None:
    """Give the encoding in which the client wants its answer, or nothing for none.

    As with ClickHouse, `Accept-Encoding` counts only with `enable_http_compression`."""
    if request.query.get("enable_http_compression", "0") in ("", "0"):
        return None
    accepted = {
        part.split(";")[0].strip() for part in request.headers.get("Accept-Encoding", "").split(",")
    }
    return next((name for name in _PACKERS if name in accepted), None)


def packed(body: bytes, encoding: str | None) -> bytes:
    """Give a body in such an encoding. It takes seconds for a large one: do it in a thread."""
    return _PACKERS[encoding](body) if encoding else body


def _unpacked(body: bytes, encoding: str, max_bytes: int) -> bytes | Failure:
    try:
        if encoding in ("", "identity"):
            data = body
        elif encoding == "deflate":
            data = zlib.decompressobj().decompress(body, max_bytes + 1)
        elif encoding in _OPENERS:
            with _OPENERS[encoding](io.BytesIO(body)) as stream:
                data = stream.read(max_bytes + 1)
        else:
            return Failure(
                89, f"Unknown compression method {encoding}. (UNKNOWN_COMPRESSION_METHOD)"
            )
    except (OSError, EOFError, RuntimeError, zlib.error, zstandard.ZstdError) as error:
        return Failure(271, f"The body is no {encoding}: {error}. (CANNOT_DECOMPRESS)")
    if len(data) > max_bytes:
        return Failure(307, f"The body is longer than {max_bytes} bytes. (TOO_MANY_BYTES)")
    return data
