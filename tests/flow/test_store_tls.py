"""ClickHouse through TLS: the server is who it says, or nothing is sent to it."""

import asyncio
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from spine.errors import Unavailable
from spine.store import Store
from tests.clickhouse_server import Server
from tests.kafka_guarded import Certificates, certificates


@asynccontextmanager
async def behind_tls(server: Server, made: Certificates) -> AsyncIterator[int]:
    """A port that speaks TLS for the server."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made.server)

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(server.host, server.port)
        await asyncio.gather(
            pipe(reader, inner_writer), pipe(inner_reader, writer), return_exceptions=True
        )

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()


async def test_a_store_is_opened_through_tls_where_its_certificate_is_trusted(
    tmp_path: Path, clickhouse_server: Server
) -> None:
    made = certificates(tmp_path)
    (tmp_path / "other").mkdir()
    other = certificates(tmp_path / "other")
    async with behind_tls(clickhouse_server, made) as port:
        url = f"clickhouses://beleg:canary_store_password@127.0.0.1:{port}/through_tls"
        store = await Store.open(url, tmp_path, makes=True, ca_file=str(made.ca))
        await store.command("CREATE TABLE t (a UInt8) ENGINE = Memory")
        await store.insert("t", {"a": [1, 2]})
        assert await store.select("SELECT sum(a) FROM t") == [(3,)]
        await store.close()
        for ca_file in ("", str(other.ca)):
            with pytest.raises(Unavailable) as refused:
                await Store.open(url, tmp_path, ca_file=ca_file)
            assert refused.value.what.startswith("store.ca_file: no ClickHouse answers")
            assert "canary" not in refused.value.what
        with pytest.raises(Unavailable) as refused:  # the same port without TLS
            await Store.open(url.replace("clickhouses", "clickhouse"), tmp_path)
        assert refused.value.what.startswith("store.url: no ClickHouse answers")


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    (tmp_path / "beleg.toml").write_text(
        f"""
        log.url = "kafka://127.0.0.1:9"
        store.url = "clickhouses://beleg:canary_store_password@127.0.0.1:9/beleg"
        store.ca_file = "{tmp_path / "nowhere.pem"}"
        """
    )
    command = [sys.executable, "-m", "beleg", "--config", str(tmp_path / "beleg.toml"), "migrate"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("beleg: store.ca_file: "), done.stderr
    assert "canary" not in done.stderr
