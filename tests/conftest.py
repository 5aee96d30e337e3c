from tests.clickhouse_server import clickhouse_server

__all__ = ["clickhouse_server"]
