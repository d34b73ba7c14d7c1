"""Macros of DuckDB that do what Trino's functions and casts do. What is wrong fails by a cast that cannot be done.

Each is `name(parameters) := body`. They see nothing but their arguments.
"""


def failing(wrong: str, message: str, value: str) -> str:
    """SQL that fails with `CODE: message` where `wrong` is true, in a way that TRY may stand around."""
    return f"CASE WHEN CASE WHEN {wrong} THEN CAST({message} AS BOOLEAN) ELSE FALSE END THEN NULL ELSE {value} END"


def _cast_failure(what: str, to: str) -> str:
    return f"'INVALID_CAST_ARGUMENT: Cannot cast ''' || {what} || ''' to ' || {to}"


_E_NOTATION = (
    r"regexp_extract(s, '^-') || substr(d, 1, 1) || '.' || CASE WHEN length(d) > 1 THEN substr(d, 2) ELSE '0' END"
    r" || 'E' || e"
)

NUMBERS = {
    # Digits and exponent of what DuckDB shows: a point or an exponent, or both.
    "trino_e_digits(s)": (
        r"CASE WHEN regexp_replace(split_part(ltrim(s, '-'), 'e', 1), '\.|^0\.0*', '', 'g') = '' THEN '0' ELSE "
        r"rtrim(ltrim(replace(split_part(ltrim(s, '-'), 'e', 1), '.', ''), '0'), '0') END"
    ),
    "trino_e_power(s)": (
        "CASE WHEN contains(s, 'e') THEN CAST(split_part(s, 'e', 2) AS INTEGER) "
        "WHEN starts_with(ltrim(s, '-'), '0.') THEN "
        "-(length(split_part(s, '.', 2)) - length(ltrim(split_part(s, '.', 2), '0')) + 1) "
        "ELSE length(split_part(ltrim(s, '-'), '.', 1)) - 1 END"
    ),
    "trino_e_text(s)": (
        "(CASE WHEN starts_with(s, '-') THEN '-' ELSE '' END) || substr(trino_e_digits(s), 1, 1) || '.' || "
        "(CASE WHEN length(trino_e_digits(s)) > 1 THEN substr(trino_e_digits(s), 2) ELSE '0' END) || 'E' || "
        "CAST(trino_e_power(s) AS VARCHAR)"
    ),
    "trino_double_text(x)": (
        "CASE WHEN (abs(x) >= 0.001 AND abs(x) < 10000000) THEN CAST(x AS VARCHAR) WHEN x IS NULL THEN NULL "
        "WHEN x = 0 THEN CASE WHEN signbit(x) THEN '-0.0' ELSE '0.0' END WHEN isnan(x) THEN 'NaN' "
        "WHEN isinf(x) THEN CASE WHEN x > 0 THEN 'Infinity' ELSE '-Infinity' END ELSE trino_e_text(CAST(x AS VARCHAR)) END"
    ),
    "trino_real_text(x)": "trino_double_text(x)",
    "trino_whole(x, kind)": failing("isnan(x) OR isinf(x)", _cast_failure("trino_double_text(x)", "kind"), "round(x)"),
    "trino_binary_text(b)": r"rtrim(regexp_replace(lower(hex(b)), '(..)', '\1 ', 'g'))",
    "trino_fmod(a, b)": "fmod(a, b)",
    "trino_divide(a, b, up)": (
        "(a * up) // b + CASE WHEN abs((a * up) % b) * 2 >= abs(b) THEN sign(a) * sign(b) ELSE 0 END"
    ),
    "trino_decimal_mod(a, b)": "a % b",
    "trino_interval_times_microseconds(i, n)": "to_microseconds(CAST(round(trino_microseconds(i) * n) AS BIGINT))",
    "trino_interval_over_microseconds(i, n)": "to_microseconds(CAST(round(trino_microseconds(i) / n) AS BIGINT))",
    "trino_interval_times_months(i, n)": "to_months(CAST(trunc(trino_months(i) * n) AS INTEGER))",
    "trino_interval_over_months(i, n)": "to_months(CAST(trunc(trino_months(i) / n) AS INTEGER))",
}

PARSING = {
    "trino_digits(s, kind)": failing(r"NOT regexp_full_match(s, '[+-]?[0-9]+')", _cast_failure("s", "kind"), "s"),
    "trino_float_text(s, kind)": failing(
        r"NOT regexp_full_match(s, '\s*([+-]?(NaN|Infinity|([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[dDfF]?))\s*')",
        _cast_failure("s", "kind"),
        "trim(rtrim(trim(s), 'dDfF'))",
    ),
    "trino_decimal_text(s, kind)": failing(
        r"NOT regexp_full_match(s, '\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*')",
        _cast_failure("s", "kind"),
        "s",
    ),
    "trino_parse_boolean(s)": failing(
        "lower(s) NOT IN ('t', 'true', '1', 'f', 'false', '0')",
        _cast_failure("s", "'BOOLEAN'"),
        "lower(s) IN ('t', 'true', '1')",
    ),
    "trino_parse_date(s)": failing(
        r"NOT regexp_full_match(s, '\s*[+-]?[0-9]{1,6}-[0-9]{1,2}-[0-9]{1,2}\s*') OR TRY_CAST(s AS DATE) IS NULL",
        "'INVALID_CAST_ARGUMENT: Value cannot be cast to date: ' || s",
        "CAST(s AS DATE)",
    ),
    "trino_parse_timestamp(s)": failing(
        r"NOT regexp_full_match(s, '\s*[0-9]{4,6}-[0-9]{1,2}-[0-9]{1,2}( +[0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,2}(\.[0-9]{1,12})?)?)?"
        r"( [A-Za-z+-].*)?\s*') OR TRY(trino_timestamp_of(s)) IS NULL",
        "'INVALID_CAST_ARGUMENT: Value cannot be cast to timestamp: ' || s",
        "trino_timestamp_of(s)",
    ),
    # The zone that a text may end in says nothing to a timestamp without one.
    "trino_timestamp_of(s)": r"CAST(regexp_replace(s, '\s+[A-Za-z+-].*$|([+-][0-9]{2}:[0-9]{2}|Z)\s*$', '') AS TIMESTAMP)",
    "trino_parse_zoned(s)": failing(
        r"TRY(trino_in_zone(trino_parse_timestamp(s), trino_zone_name(coalesce(nullif(regexp_extract(s, '\s([A-Za-z+-][^\s]*)\s*$', 1), ''), 'UTC')))) IS NULL",
        "'INVALID_CAST_ARGUMENT: Value cannot be cast to timestamp with time zone: ' || s",
        r"trino_in_zone(trino_parse_timestamp(s), trino_zone_name(coalesce(nullif(regexp_extract(s, '\s([A-Za-z+-][^\s]*)\s*$', 1), ''), 'UTC')))",
    ),
    "trino_fits(s, n, kind)": failing(
        "length(s) > n", "'INVALID_CAST_ARGUMENT: Value ' || s || ' cannot be represented as ' || kind", "s"
    ),
}

TIMES = {
    "trino_zone_offset(z)": (
        "to_minutes(CAST((CASE WHEN starts_with(z, '-') THEN -1 ELSE 1 END) * (CAST(substr(z, 2, 2) AS INTEGER) * 60 + "
        "CAST(substr(z, 5, 2) AS INTEGER)) AS INTEGER))"
    ),
    "trino_zone_name(z)": (
        "CASE WHEN z IN ('Z', 'UTC', 'GMT', 'UT', 'z') THEN 'UTC' "
        r"WHEN regexp_full_match(z, '[+-][0-9]{2}:?[0-9]{2}') THEN left(z, 3) || ':' || right(z, 2) "
        r"WHEN regexp_full_match(z, '[+-][0-9]{2}') THEN z || ':00' ELSE z END"
    ),
    # The moment, in UTC, that clocks of a zone show as t.
    "trino_utc(t, z)": (
        "CASE WHEN z = 'UTC' THEN t WHEN starts_with(z, '+') OR starts_with(z, '-') THEN t - trino_zone_offset(z) "
        "ELSE timezone('UTC', timezone(z, t)) END"
    ),
    "trino_at(t, z)": (
        "CASE WHEN z = 'UTC' THEN t WHEN starts_with(z, '+') OR starts_with(z, '-') THEN t + trino_zone_offset(z) "
        "ELSE timezone(z, timezone('UTC', t)) END"
    ),
    "trino_in_zone(l, zone)": (
        "CASE WHEN l IS NULL OR zone IS NULL THEN NULL ELSE struct_pack(t := trino_utc(l, zone), z := zone) END"
    ),
    "trino_local(v)": "trino_at(struct_extract(v, 't'), struct_extract(v, 'z'))",
    "trino_at_zone(v, zone)": (
        "CASE WHEN v IS NULL OR zone IS NULL THEN NULL ELSE struct_pack(t := trino_utc(trino_at(struct_extract(v, 't'), "
        "zone), zone), z := zone) END"
    ),
    "trino_zoned_add(v, i)": (
        "CASE WHEN v IS NULL OR i IS NULL THEN NULL ELSE struct_pack(t := CASE WHEN datepart('month', i) = 0 AND "
        "datepart('year', i) = 0 THEN struct_extract(v, 't') + i ELSE trino_utc(trino_local(v) + i, struct_extract(v, 'z')) END, "
        "z := struct_extract(v, 'z')) END"
    ),
    "trino_round_time(t, unit)": (
        "CASE WHEN unit = 1 OR epoch_us(t) % unit = 0 THEN t ELSE "
        "make_timestamp(CAST(floor((epoch_us(t) + unit / 2) / unit) AS BIGINT) * unit) END"
    ),
    "trino_timestamp_text(t, p)": (
        "CASE p WHEN 3 THEN strftime(t, '%Y-%m-%d %H:%M:%S.%g') WHEN 0 THEN strftime(t, '%Y-%m-%d %H:%M:%S') "
        "ELSE left(strftime(t, '%Y-%m-%d %H:%M:%S.%f'), length(strftime(t, '%Y')) + 16 + p) END"
    ),
    "trino_zoned_text(v, p)": "trino_timestamp_text(trino_local(v), p) || ' ' || struct_extract(v, 'z')",
    "trino_time_text(t, p)": (
        "left(CAST(t AS VARCHAR) || CASE WHEN length(CAST(t AS VARCHAR)) = 8 THEN '.' ELSE '' END || '000000', "
        "CASE WHEN p = 0 THEN 8 ELSE 9 + p END)"
    ),
    "trino_microseconds(i)": "CAST(epoch(i) * 1000000 AS HUGEINT)",
    "trino_months(i)": "CAST(datepart('year', i) * 12 + datepart('month', i) AS BIGINT)",
    "trino_milliseconds(i)": "CAST(round(epoch(i) * 1000) AS BIGINT)",
    "trino_has_time(i)": "trino_milliseconds(i) % 86400000 <> 0",
    "trino_day_second_text(i)": (
        "(CASE WHEN trino_milliseconds(i) < 0 THEN '-' ELSE '' END) || printf('%d %02d:%02d:%02d.%03d', "
        "abs(trino_milliseconds(i)) // 86400000, abs(trino_milliseconds(i)) // 3600000 % 24, "
        "abs(trino_milliseconds(i)) // 60000 % 60, abs(trino_milliseconds(i)) // 1000 % 60, abs(trino_milliseconds(i)) % 1000)"
    ),
    "trino_year_month_text(i)": (
        "(CASE WHEN trino_months(i) < 0 THEN '-' ELSE '' END) || printf('%d-%d', abs(trino_months(i)) // 12, "
        "abs(trino_months(i)) % 12)"
    ),
    "trino_interval_day(i)": "trino_milliseconds(i) // 86400000",
    "trino_interval_hour(i)": "trino_milliseconds(i) // 3600000 % 24",
    "trino_interval_minute(i)": "trino_milliseconds(i) // 60000 % 60",
    "trino_interval_second(i)": "trino_milliseconds(i) // 1000 % 60",
    "trino_interval_millisecond(i)": "trino_milliseconds(i) % 1000",
    "trino_interval_year(i)": "trino_months(i) // 12",
    "trino_interval_month(i)": "trino_months(i) % 12",
    "trino_zone_minutes(v)": "date_diff('minute', struct_extract(v, 't'), trino_local(v))",
    "trino_timezone_hour(v)": "trino_zone_minutes(v) // 60",
    "trino_timezone_minute(v)": "trino_zone_minutes(v) % 60",
}

COLLECTIONS = {
    "trino_array_at(l, n)": (
        "CASE WHEN CASE WHEN n = 0 THEN CAST('INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1' AS BOOLEAN) "
        "WHEN n < 0 THEN CAST('INVALID_FUNCTION_ARGUMENT: Array subscript is negative: ' || n AS BOOLEAN) "
        "WHEN n > len(l) THEN CAST('INVALID_FUNCTION_ARGUMENT: Array subscript must be less than or equal to array length: ' "
        "|| n || ' > ' || len(l) AS BOOLEAN) ELSE FALSE END THEN NULL ELSE list_extract(l, n) END"
    ),
    "trino_map_at(m, k, shown)": failing(
        "NOT map_contains(m, k)", "'INVALID_FUNCTION_ARGUMENT: Key not present in map: ' || shown", "m[k]"
    ),
    # The first of what has the same key stays.
    "trino_map_of(entries)": (
        "map_from_entries(list_filter(entries, lambda e, i: e.k IS NOT NULL AND "
        "list_position(list_transform(entries, lambda o: o.k), e.k) = i))"
    ),
    "trino_multimap_of(entries)": (
        "map_from_entries(list_transform(list_distinct(list_transform(entries, lambda e: e.k)), lambda key: "
        "struct_pack(k := key, v := list_transform(list_filter(entries, lambda e: e.k = key), lambda e: e.v))))"
    ),
    "trino_map_entries(m)": "list_transform(map_entries(m), lambda e: struct_pack(k := e.key, v := e.value))",
}

MACROS: dict[str, str] = {**NUMBERS, **PARSING, **TIMES, **COLLECTIONS}
