-- The views over the raw tables spans and logs, which hold every row as it was sent: a sender's retry leaves a span there twice.
-- A span is therefore known here by (trace_id, span_id), and counted once.
-- They join by LEFT JOIN, and not by SEMI or ANTI JOIN: DuckDB then carries a condition on trace_id to every scan, and few files are read.

-- One row a (trace_id, span_id): of several the one that started first. Columns that the views below need, no more.
CREATE OR REPLACE VIEW span_ids AS
SELECT
    trace_id,
    span_id,
    arg_min(
        {'parent': parent_span_id, 'service': service_name, 'name': name, 'kind': kind, 'status': status_code,
         'start_time': start_time, 'end_time': end_time, 'start_ns': start_unix_nano, 'end_ns': end_unix_nano, 'duration_ns': duration_ns},
        (coalesce(start_unix_nano, 9223372036854775807), kafka_topic, kafka_partition, kafka_offset, record_index)) AS span
FROM spans
WHERE trace_id IS NOT NULL AND span_id IS NOT NULL
GROUP BY trace_id, span_id;

COMMENT ON VIEW span_ids IS 'One row a (trace_id, span_id), of several sent the one that started first; the span as a struct.';

CREATE OR REPLACE VIEW trace_ids AS SELECT DISTINCT trace_id FROM spans WHERE trace_id IS NOT NULL;

COMMENT ON VIEW trace_ids IS 'The ids of the traces that have a span.';

-- A logger may know the low 64 bits of a trace id alone: Datadog's decimals, B3 and Jaeger in services that shorten. Its logs have the id padded with zeros, and
-- belong to the trace whose low half that is, unless spans have the short id too: then that is the trace. Plain comparisons, which files' bounds answer:
-- padded ids lie below '0000000000000001', all others above.
CREATE OR REPLACE VIEW short_logs AS
SELECT logs.* REPLACE (wide.trace_id AS trace_id)
FROM (SELECT * FROM logs WHERE trace_id < '0000000000000001') AS logs
JOIN (SELECT DISTINCT trace_id FROM spans WHERE trace_id >= '0000000000000001') AS wide ON logs.trace_id[17:] = wide.trace_id[17:]
LEFT JOIN (SELECT DISTINCT trace_id FROM spans WHERE trace_id < '0000000000000001') AS short ON logs.trace_id = short.trace_id
WHERE short.trace_id IS NULL;

COMMENT ON VIEW short_logs IS 'The logs with a 64-bit trace id that no span has, under the id of the 128-bit trace whose low half it is.';

CREATE OR REPLACE VIEW traces AS
WITH whole AS (
    SELECT
        child.trace_id,
        arg_min({'service': span.service, 'name': span.name}, (coalesce(span.start_ns, 9223372036854775807), child.span_id)) FILTER (span.parent IS NULL) AS root,
        list_sort(array_agg(DISTINCT span.service) FILTER (span.service IS NOT NULL)) AS services,
        min(span.start_time) AS start_time,
        max(span.end_time) AS end_time,
        max(span.end_ns) - min(span.start_ns) AS duration_ns,
        count(*) AS spans,
        count(*) FILTER (span.status = 'ERROR') AS errors,
        count(*) FILTER (span.parent IS NULL) AS roots,
        count(*) FILTER (span.parent IS NOT NULL AND parent.span_id IS NULL) AS absent
    FROM span_ids AS child
    LEFT JOIN (SELECT DISTINCT trace_id, span_id FROM spans) AS parent ON child.trace_id = parent.trace_id AND child.span.parent = parent.span_id
    GROUP BY child.trace_id
),
written AS (
    SELECT trace_id, count(*) AS logs
    FROM (SELECT trace_id FROM logs WHERE trace_id IS NOT NULL UNION ALL SELECT trace_id FROM short_logs)
    GROUP BY trace_id
)
SELECT
    whole.trace_id,
    root.service AS root_service,
    root.name AS root_name,
    coalesce(services, []) AS services,
    start_time,
    end_time,
    duration_ns,
    spans,
    errors,
    coalesce(written.logs, 0) AS logs,
    roots > 0 AND absent = 0 AS complete
FROM whole
LEFT JOIN written ON written.trace_id = whole.trace_id;

COMMENT ON VIEW traces IS 'One row a trace that has a span. spans and errors count a (trace_id, span_id) once, however often it was sent; logs counts rows. The root is the earliest span without a parent; complete: there is one, and every parent is there.';

CREATE OR REPLACE VIEW trace_logs AS
WITH placed AS (
    SELECT logs.*, 'trace id' AS joined_by FROM logs JOIN trace_ids ON logs.trace_id = trace_ids.trace_id
    UNION ALL
    SELECT *, 'low 64 bits' AS joined_by FROM short_logs
)
SELECT
    placed.*,
    span.service AS span_service,
    span.name AS span_name,
    span.kind AS span_kind,
    span.status AS span_status_code,
    span.start_time AS span_start_time,
    span.duration_ns AS span_duration_ns
FROM placed
LEFT JOIN span_ids ON placed.trace_id = span_ids.trace_id AND placed.span_id = span_ids.span_id;

COMMENT ON VIEW trace_logs IS 'The logs whose trace has a span in the lake, each once, with the span that wrote it; the columns span_* are null where that span is absent. A log with a 64-bit trace id stands under the 128-bit id of its trace (joined_by: low 64 bits), and under each where several share that half.';

-- In two parts, so that a condition on a 128-bit id leaves nothing of the second, whose scan of spans no condition on a log's id can narrow.
CREATE OR REPLACE VIEW orphan_logs AS
SELECT CASE WHEN logs.trace_id IS NULL THEN 'no trace id' ELSE 'no span of this trace' END AS reason, logs.*
FROM (SELECT * FROM logs WHERE trace_id IS NULL OR trace_id >= '0000000000000001') AS logs
LEFT JOIN trace_ids ON logs.trace_id = trace_ids.trace_id
WHERE trace_ids.trace_id IS NULL
UNION ALL
SELECT 'no span of this trace' AS reason, logs.*
FROM (SELECT * FROM logs WHERE trace_id < '0000000000000001') AS logs
LEFT JOIN trace_ids ON logs.trace_id = trace_ids.trace_id
LEFT JOIN (SELECT DISTINCT trace_id[17:] AS low FROM spans WHERE trace_id >= '0000000000000001') AS wide ON logs.trace_id[17:] = wide.low
WHERE trace_ids.trace_id IS NULL AND wide.low IS NULL;

COMMENT ON VIEW orphan_logs IS 'The logs that are not in trace_logs, with the reason: no trace id; or no span of this trace (dropped by sampling, not instrumented, or not here yet).';

CREATE OR REPLACE VIEW service_edges AS
SELECT
    caller.span.service AS caller,
    callee.span.service AS callee,
    count(*) AS calls,
    count(*) FILTER (callee.span.status = 'ERROR') AS errors,
    quantile_cont(callee.span.duration_ns, 0.5) / 1e6 AS p50_ms,
    quantile_cont(callee.span.duration_ns, 0.99) / 1e6 AS p99_ms
FROM span_ids AS callee
JOIN span_ids AS caller ON callee.trace_id = caller.trace_id AND callee.span.parent = caller.span_id
WHERE callee.span.service <> caller.span.service
GROUP BY ALL;

COMMENT ON VIEW service_edges IS 'One row a pair of services of which the first called the second: spans of the callee whose parent is a span of the caller, each counted once; times are of the callee''s span.';
