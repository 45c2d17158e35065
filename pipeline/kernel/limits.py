"""Every limit, with its unit in its name, and the relations that hold between them."""

KIB = 1024
MIB = 1024 * KIB

# One record.
record_bytes_max = 64 * MIB  # larger values are rejects of reason too_large
record_rows_max = 1_000_000  # spans or log records in one Kafka record
record_rows_any = 10_000  # so many it may have whatever its size; more must come to `row_bytes` / `repetition_ratio_max` = 16 bytes each
row_bytes = 1 * KIB  # of memory that a row is while it is decoded, however little it says: 690 to 1,100 were measured
nesting_depth_max = 64  # of JSON, of AnyValue, of envelopes' contents
flatten_depth_max = 8  # objects nested deeper than this inside a JSON log object stay JSON text
flatten_name_chars_max = 256  # so do those whose own dotted name is longer: each of their fields would repeat it
attributes_per_row_max = 1024  # the rest are counted in dropped_attributes_count
envelopes_max = 4  # one inside the other, around one log
id_search_chars_max = 4 * KIB  # of a log's text, from its start, that is searched for ids, level and time
repetition_ratio_max = 64  # bytes of rows, or of resources and scopes that they repeat, a byte of a record: bombs are beyond it, a Collector's batch below 20
inflated_bytes_max = 64 * MIB  # of a compressed envelope, whatever it claims
inflated_ratio_usual = 16  # as which compressed records count where bytes in memory are bounded before they are inflated
inflated_copied_max = 1024 * MIB  # zlib copies what lies behind each member: of a million empty ones in a record that is the record a million times
inflated_ratio_max = 128  # bytes inflated, a byte that came: logs come to 10 to 40, a bomb to 1,000

# Avro.
avro_bytes_max = 4 * MIB  # of one record: its values may weigh `avro_growth_max` times as much
avro_growth_max = 512  # bytes of memory and of text that a byte may become: an empty string in a record of one field is some 270
avro_beyond_max = 1 * MIB  # and for a record whatever bytes it has: nulls and empty records have none
avro_decimal_bytes_max = 256  # a decimal of more has no use, and its digits take time that grows with their square
avro_schema_bytes_max = 256 * KIB

# Rejects.
reject_value_bytes_max = 64 * KIB  # a larger value keeps its first 64 KiB, its size and its hash
reject_message_chars_max = 500
reject_key_bytes_max = 16 * KIB  # on the topic; the table keeps all of it
reject_headers_bytes_max = 64 * KIB  # likewise

# Redaction.
redact_pattern_chars_max = 1024  # of one pattern, and of one attribute's key
redact_patterns_max = 32  # each is a pass over every text
redact_key_chars_min = 16

# Log formats of a user's own.
format_pattern_chars_max = 4_000  # of one pattern

# Partial windows.
measured_rows_min = 32_768  # measured at once, unless the flush is before
exemplars_max = 3  # slowest rows of a partial window, and failing ones, whose trace ids go with it
observations_max = 1_000  # rows of a series and pane that a rule over rows may look at
label_chars_max = 256  # of one label of a series; longer ones are cut, and what they then have in common is one series
series_idle_s = 3600  # in event time: then a series may give its place to another, where a measure has as many as it may
alert_bytes_max = 64 * KIB
normalized_bytes_max = 768 * KIB  # of one row on its topic, below every broker's default of 1 MB
partials_bytes_max = 512 * KIB  # of one message, below every broker's default of 1 MB

# Times, in event time beside the Kafka timestamp.
plausible_ahead_s = 5 * 60  # later than this: clock_skew
plausible_behind_s = 24 * 3600  # earlier than this: clock_skew
partition_ahead_s = 24 * 3600  # the partition column takes the Kafka timestamp's day beyond these two
partition_behind_s = 7 * 24 * 3600

# Reading.
poll_records_max = 40_000  # in one poll
consume_records_max = 200  # in one call of consume(), of which a poll makes many
poll_wait_s = 0.1
gather_wait_s_max = 0.5  # that a poll goes on where little came: a batch costs some ten milliseconds, whatever is in it
gather_bytes = 1 * MIB  # of values that are not little
damaged_fetches_max = 3  # a batch that fails its checksum is fetched so often before its records are declared lost
poll_bytes_max = 16 * MIB  # of values in one poll; overshot by the records of one call where they are larger than those before
decode_bytes_max = 4 * MIB  # of values decoded at once: as Python objects they are some ten times as large
together_bytes_max = 6 * MIB  # of values of several partitions that are decoded at once; a batch as large as that costs little more than its rows
apart_polls = 100  # in which a topic's partitions are decoded one by one, after one in which they could not be at once
batch_rows_max = 100_000  # read one by one, of several records at once: what is beyond them is decoded apart
halves_max = 2_000  # so often is a batch halved that something of ours fails on, to find the records: beyond it their neighbors are rejects, too
kernel_bytes_min = 16 * KIB  # smaller batches cost the reference decoders less than the kernels, which make some hundred arrays of each
compile_wait_s = 120.0  # for another process that compiles the same kernels
kernels_kept_s = 30 * 24 * 3600  # machine code of other versions, since it was last used
fetch_queue_bytes_max = 16 * MIB  # librdkafka's queue of fetched records
stall_s = 120.0  # records wait at the broker, and none comes for so long
pattern_refresh_s = 30.0  # how soon a topic that is new and matches a pattern is read

# A Schema Registry.
registry_pause_s = 30.0  # after it gave no answer, or no such schema, it is asked again
registry_cached_max = 10_000  # schemas that are remembered
registry_cached_bytes_max = 64 * MIB  # of them together
registry_answer_bytes_max = 1 * MIB  # an answer that is larger is none
registry_ids_max = 16  # ids that turn out to be no schema of Avro: so many a batch are asked for; hostile records name a new one each
registry_batch_s = 5.0  # after so long, one batch's other ids wait for the next batch

# Waiting for brokers.
broker_wait_s = 10.0  # at start: then one line says that nobody answers
broker_retry_s = 30.0  # later on, for what passes by itself
buffered_bytes_max = 256 * MIB  # what ingest.flush_mib may ask for; while the lake takes no cycle, nothing beyond two of them and one poll is read

# Stopping.
stop_wait_s = 8.0  # after SIGTERM all waits for brokers end so soon, but for a call under way, which may take 5 s
stop_s_max = 18  # then the process ends, whatever it is at: what hangs is storage; nothing is lost, and it is sooner than `up` and most supervisors kill

# Writing.
retry_s_min = 0.25  # what storage or Kafka did not take is given again so soon at first, then each time twice as late
retry_s_max = 30.0
unknown_failures_max = 10  # in a row, of which nobody knows whether they pass: then the process ends. With the pauses above, some two minutes
statistics_string_chars_max = 32
orphan_sweep_age_s = 24 * 3600
unsynced_age_s_max = orphan_sweep_age_s // 4  # a file older than this is not committed: the sweep may take it
row_group_rows_max = 128 * KIB
encoded_bytes_max = 1024 * MIB  # of rows in one file: Arrow's offsets in a column of texts have 31 bits, and a sign
transaction_timeout_ms = 15_000  # an open transaction holds every read_committed reader

# Rules.
rule_file_bytes_max = 256 * KIB
rule_yaml_depth_max = 8
rules_max = 1_000  # in one file
rule_expression_chars_max = 4 * KIB
rule_expression_depth_max = 32
rule_list_items_max = 256  # of in (…)
rule_pattern_chars_max = 256
rule_aggregates_max = 32  # different inputs of one rule, those of its slo among them
rule_baselines_max = 4
rule_labels_max = 8  # names in `by`
rule_text_chars_max = 2 * KIB  # of a label's or annotation's value
rule_window_s_max = 3 * 24 * 3600  # of counts, also when it lies earlier
rule_quantile_window_s_max = 3600  # of quantiles: their histograms cost a thousand times as much as a count
rule_panes_max = 4_320  # in the longest window, with what lies before it
rule_consecutive_max = 1_000
rule_series_max = 1_000_000
rule_for_s_max = 7 * 24 * 3600  # for, keep_firing_for, missing_for, adapt_after
rule_lateness_s_max = 600
slo_windows_max = 8

assert reject_value_bytes_max < record_bytes_max
assert record_rows_any <= batch_rows_max <= record_rows_max
assert 2 * avro_schema_bytes_max <= registry_answer_bytes_max  # the answer has the schema as a string, its quotes escaped
assert avro_schema_bytes_max <= registry_cached_bytes_max
assert flatten_depth_max <= nesting_depth_max
assert inflated_ratio_usual <= inflated_ratio_max
assert decode_bytes_max <= poll_bytes_max <= fetch_queue_bytes_max <= buffered_bytes_max
assert stop_wait_s + 5 < stop_s_max
assert buffered_bytes_max < encoded_bytes_max < 2**31
assert retry_s_min <= retry_s_max
assert plausible_ahead_s < partition_ahead_s
assert plausible_behind_s < partition_behind_s
assert unsynced_age_s_max < orphan_sweep_age_s
assert rule_quantile_window_s_max <= rule_window_s_max <= 60 * rule_panes_max
assert rule_pattern_chars_max < rule_expression_chars_max < rule_file_bytes_max
assert rule_aggregates_max >= 4 * slo_windows_max
