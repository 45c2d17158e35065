"""Reserved words of engines that cannot be asked from here. DuckDB is asked: duckdb_keywords().

Sources: Spark 4.0, SqlBaseParser.g4: the keywords that are not in ansiNonReserved, which spark.sql.ansi.enforceReservedKeywords reserves (it is
off by default). Trino's documentation, language/reserved.
"""

import re

SPARK = frozenset(
    re.findall(
        r"\w+",
        """
    all and any as authorization both case cast check collate collation column constraint create cross current_date current_time current_timestamp
    current_user distinct else end escape except execute false fetch filter for foreign from full grant group having in inner intersect into is join lateral
    leading left natural not null offset on only or order outer overlaps percentile_cont percentile_disc primary references right select session_user
    some table then time to trailing union unique unknown user using when where with within
    """,
    )
)
TRINO = frozenset(
    re.findall(
        r"\w+",
        """
    alter and as auto between by case cast constraint create cross cube current_catalog current_date current_path current_role current_schema current_time
    current_timestamp current_user deallocate delete describe distinct drop else end escape except execute exists extract false for from full group grouping
    having in inner insert intersect into is join json_array json_exists json_object json_query json_table json_value left like listagg localtime
    localtimestamp natural normalize not null on or order outer prepare primary recursive right rollup select skip table then trim true uescape union
    unnest using values when where with
    """,
    )
)
# With its reason in DECISIONS.md, 14.
ALLOWED_IN_SPARK = frozenset({"time"})
