"""What a reader is offered of all that the engine has: functions, table functions, tables, formats.

Everything is offered by name or by a category of the engine's own catalogue; what a newer engine
adds elsewhere is withheld until someone has looked at it.
"""

from collections.abc import Iterable
from typing import NamedTuple

CATEGORIES = frozenset(
    {
        "Arithmetic", "Arrays", "Bit", "Bitmap", "Comparison", "Conditional", "Dates and Times",
        "Distance", "Encoding", "Encryption", "Financial", "Geo", "Geo Polygon", "Hash",
        "IP Address", "JSON", "Logical", "Map", "Mathematical", "Null", "NumericIndexedVector",
        "QBit", "Random Number", "Rounding", "String", "String Replacement", "String Search",
        "String Splitting", "Time Window", "Tuple", "Type Conversion", "URL", "UUID",
    }
)  # fmt: skip
# Of the mixed categories "Other" and "Internal", and words that the parser makes. Withheld on
# purpose: file, sleep, hasColumnInTable and joinGet (reach elsewhere), getMacro, serverUUID, FQDN,
# ports and file system sizes (describe the host).
HARMLESS = frozenset(
    {
        "bar", "bytesize", "casewithexpression", "connectionid", "countdigits", "currentdatabase",
        "currentschemas", "currentuser", "defaultvalueofargumenttype", "defaultvalueoftypename",
        "digits", "exists", "finalizeaggregation", "formatquery", "formatqueryornull",
        "formatquerysingleline", "formatquerysinglelineornull", "formatreadabledecimalsize",
        "formatreadablequantity", "formatreadablesize", "formatreadabletimedelta", "getsetting",
        "getsettingordefault", "getsizeofenumtype", "getsubcolumn", "globalvariable", "grouping",
        "hostname", "identity", "ignore", "indexhint", "initializeaggregation", "initialqueryid",
        "isconstant", "isdecimaloverflow", "lambda", "lowcardinalityindices",
        "lowcardinalitykeys", "materialize", "minsamplesizecontinuous", "minsamplesizeconversion",
        "neighbor", "normalizedqueryhash", "normalizequery", "parsereadablesize",
        "parsereadablesizeornull", "parsereadablesizeorzero", "parsetimedelta", "pggetuserbyid",
        "pgtableisvisible", "queryid", "revision", "rownumberinallblocks", "rownumberinblock",
        "runningaccumulate", "runningdifference", "shardcount", "shardnum", "throwif",
        "tocolumntypename", "totypename", "transform", "uptime", "variantelement", "varianttype",
        "version", "visiblewidth",
    }
)  # fmt: skip
TABLE_FUNCTIONS = frozenset(
    {
        "numbers",
        "numbers_mt",
        "zeros",
        "zeros_mt",
        "generateSeries",
        "generate_series",
        "values",
        "VALUES",
    }
)
SYSTEM_TABLES = frozenset(
    {
        "aggregate_function_combinators", "collations", "columns", "data_type_families",
        "databases", "formats", "functions", "keywords", "numbers", "one", "settings",
        "table_engines", "table_functions", "tables", "time_zones",
    }
)  # fmt: skip
FORMATS_WITHHELD = frozenset({"MySQLWire", "PostgreSQLWire", "Template"})


class Catalogue(NamedTuple):
    """What this engine has, sorted into what is offered and what is not; names in lower case."""

    offered: frozenset[str]
    withheld: frozenset[str]
    aggregates: frozenset[str]
    combinators: tuple[str, ...]
    formats: frozenset[str]

    def offers(self, name: str) -> bool:
        """Answer whether a function is offered; aggregates are, with any combinator."""
        name = name.lower()
        return name in self.offered or (name not in self.withheld and self._aggregates(name))

    def _aggregates(self, name: str) -> bool:
        while name not in self.aggregates:
            suffix = next((end for end in self.combinators if name.endswith(end)), None)
            if suffix is None:
                return False
            name = name.removesuffix(suffix)
        return True


def catalogue_of(
    functions: Iterable[tuple[str, str, str, int]],
    combinators: Iterable[str],
    formats: Iterable[str],
) -> Catalogue:
    """Sort what an engine has.

    Shape: functions are (name, categories, alias_to, is_aggregate) as in `system.functions`."""
    rows = list(functions)
    category = {name: categories for name, categories, _, _ in rows}
    known = {name.lower() for name, _, _, aggregate in rows if not aggregate}
    offered = {
        name.lower()
        for name, _, alias_to, aggregate in rows
        if not aggregate
        and (category.get(alias_to or name) in CATEGORIES or (alias_to or name).lower() in HARMLESS)
    }
    return Catalogue(
        offered=frozenset(offered | HARMLESS),
        withheld=frozenset(known - offered - HARMLESS),
        aggregates=frozenset(name.lower() for name, _, _, aggregate in rows if aggregate),
        combinators=tuple(sorted((c.lower() for c in combinators), key=len, reverse=True)),
        formats=frozenset(formats) - FORMATS_WITHHELD,
    )
