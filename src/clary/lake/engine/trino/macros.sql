-- Macros of DuckDB that do what Trino's functions, casts and texts do. They see nothing but their arguments.
--
-- What is wrong fails by a cast that cannot be done, whose text is `CODE: message`: DuckDB's error() cannot stand
-- inside TRY, for it counts as volatile.

trino_wrong(condition, message) :=
    CASE WHEN condition THEN CAST(message AS BOOLEAN) ELSE FALSE END;

-- Parsing of texts.

trino_digits(s, kind) :=
    CASE WHEN trino_wrong(NOT regexp_full_match(s, '[+-]?[0-9]+'), 'INVALID_CAST_ARGUMENT: Cannot cast ''' || s ||
    ''' to ' || kind) THEN NULL ELSE s END;

trino_float_text(s, kind) :=
    CASE WHEN trino_wrong(NOT regexp_full_match(s,
    '\s*([+-]?(NaN|Infinity|([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[dDfF]?))\s*'),
    'INVALID_CAST_ARGUMENT: Cannot cast ''' || s || ''' to ' || kind) THEN NULL ELSE trim(rtrim(trim(s), 'dDfF'))
    END;

trino_decimal_text(s, kind) :=
    CASE WHEN trino_wrong(NOT regexp_full_match(s, '\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*'),
    'INVALID_CAST_ARGUMENT: Cannot cast ''' || s || ''' to ' || kind) THEN NULL ELSE s END;

trino_parse_boolean(s) :=
    CASE WHEN trino_wrong(lower(s) NOT IN ('t', 'true', '1', 'f', 'false', '0'),
    'INVALID_CAST_ARGUMENT: Cannot cast ''' || s || ''' to ' || 'BOOLEAN') THEN NULL ELSE lower(s) IN ('t', 'true',
    '1') END;

trino_parse_date(s) :=
    CASE WHEN trino_wrong(NOT regexp_full_match(s, '\s*[+-]?[0-9]{1,6}-[0-9]{1,2}-[0-9]{1,2}\s*') OR TRY_CAST(s AS
    DATE) IS NULL, 'INVALID_CAST_ARGUMENT: Value cannot be cast to date: ' || s) THEN NULL ELSE CAST(s AS DATE) END;

trino_parse_timestamp(s) :=
    CASE WHEN trino_wrong(NOT regexp_full_match(s,
    '\s*[0-9]{4,6}-[0-9]{1,2}-[0-9]{1,2}( +[0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,2}(\.[0-9]{1,12})?)?)?( [A-Za-z+-].*)?\s*')
    OR TRY(trino_timestamp_of(s)) IS NULL, 'INVALID_CAST_ARGUMENT: Value cannot be cast to timestamp: ' || s) THEN
    NULL ELSE trino_timestamp_of(s) END;

trino_timestamp_of(s) :=
    CAST(regexp_replace(s, '\s+[A-Za-z+-].*$|([+-][0-9]{2}:[0-9]{2}|Z)\s*$', '') AS TIMESTAMP);

trino_parse_zoned(s) :=
    trino_zoned_of(s);

trino_zoned_of(s) :=
    CASE WHEN trino_wrong(TRY(trino_utc(trino_timestamp_of(s), trino_zone_of(s))) IS NULL,
    'INVALID_CAST_ARGUMENT: Value cannot be cast to timestamp with time zone: ' || s) THEN NULL
    ELSE trino_in_zone(trino_timestamp_of(s), trino_zone_of(s)) END;

trino_zone_of(s) :=
    trino_zone_name(coalesce(nullif(regexp_extract(s, '\s([A-Za-z+-][^\s]*)\s*$', 1), ''), 'UTC'));

trino_fits(s, n, kind) :=
    CASE WHEN trino_wrong(length(s) > n, 'INVALID_CAST_ARGUMENT: Value ' || s || ' cannot be represented as ' ||
    kind) THEN NULL ELSE s END;

-- Times.

trino_zone_offset(z) :=
    to_minutes(CAST(CAST(left(z, 3) AS INTEGER) * 60 + CAST(left(z, 1) || substr(z, 5, 2) AS INTEGER) AS INTEGER));

trino_zone_name(z) :=
    CASE WHEN z IN ('Z', 'UTC', 'GMT', 'UT', 'z') THEN 'UTC' WHEN regexp_full_match(z, '[+-][0-9]{2}:?[0-9]{2}')
    THEN left(z, 3) || ':' || right(z, 2) WHEN regexp_full_match(z, '[+-][0-9]{2}') THEN z || ':00' ELSE z END;

trino_utc(t, z) :=
    CASE WHEN z = 'UTC' THEN t WHEN z[1] IN ('+', '-') THEN t - trino_zone_offset(z)
    ELSE timezone('UTC', timezone(z, t)) END;

trino_at(t, z) :=
    CASE WHEN z = 'UTC' THEN t WHEN z[1] IN ('+', '-') THEN t + trino_zone_offset(z)
    ELSE timezone(z, timezone('UTC', t)) END;

-- A value that is used often is the only element of a list, so that nested calls stay small.
trino_in_zone(l, zone) :=
    list_transform([struct_pack(l := l, z := zone)], lambda m: CASE WHEN m.l IS NULL OR m.z IS NULL THEN NULL
    ELSE struct_pack(t := trino_utc(m.l, m.z), z := m.z) END)[1];

trino_local(v) :=
    list_transform([v], lambda w: trino_at(w.t, w.z))[1];

trino_at_zone(v, zone) :=
    CASE WHEN v IS NULL OR zone IS NULL THEN NULL ELSE struct_pack(t := struct_extract(v, 't'), z := zone) END;

trino_zoned_add(v, i) :=
    list_transform([struct_pack(v := v, i := i)], lambda w: CASE WHEN w.v IS NULL OR w.i IS NULL THEN NULL ELSE
    struct_pack(t := CASE WHEN datepart('month', w.i) = 0 AND datepart('year', w.i) = 0 THEN w.v.t + w.i
    ELSE trino_utc(trino_at(w.v.t, w.v.z) + w.i, w.v.z) END, z := w.v.z) END)[1];

trino_round_time(t, unit) :=
    CASE WHEN unit = 1 OR epoch_us(t) % unit = 0 THEN t ELSE make_timestamp(CAST(floor((epoch_us(t) + unit / 2) /
    unit) AS BIGINT) * unit) END;

trino_timestamp_text(t, p) :=
    CASE p WHEN 3 THEN strftime(t, '%Y-%m-%d %H:%M:%S.%g') WHEN 0 THEN strftime(t, '%Y-%m-%d %H:%M:%S') ELSE
    left(strftime(t, '%Y-%m-%d %H:%M:%S.%f'), length(strftime(t, '%Y')) + 16 + p) END;

trino_zoned_text(v, p) :=
    trino_timestamp_text(trino_local(v), p) || ' ' || struct_extract(v, 'z');

trino_time_text(t, p) :=
    left(CAST(t AS VARCHAR) || CASE WHEN length(CAST(t AS VARCHAR)) = 8 THEN '.' ELSE '' END || '000000', CASE WHEN
    p = 0 THEN 8 ELSE 9 + p END);

trino_microseconds(i) :=
    CAST(epoch(i) * 1000000 AS HUGEINT);

trino_months(i) :=
    CAST(datepart('year', i) * 12 + datepart('month', i) AS BIGINT);

trino_milliseconds(i) :=
    CAST(round(epoch(i) * 1000) AS BIGINT);

trino_has_time(i) :=
    trino_milliseconds(i) % 86400000 <> 0;

trino_day_second_text(i) :=
    (CASE WHEN trino_milliseconds(i) < 0 THEN '-' ELSE '' END) || printf('%d %02d:%02d:%02d.%03d',
    abs(trino_milliseconds(i)) // 86400000, abs(trino_milliseconds(i)) // 3600000 % 24, abs(trino_milliseconds(i))
    // 60000 % 60, abs(trino_milliseconds(i)) // 1000 % 60, abs(trino_milliseconds(i)) % 1000);

trino_year_month_text(i) :=
    (CASE WHEN trino_months(i) < 0 THEN '-' ELSE '' END) || printf('%d-%d', abs(trino_months(i)) // 12,
    abs(trino_months(i)) % 12);

trino_interval_day(i) :=
    trino_milliseconds(i) // 86400000;

trino_interval_hour(i) :=
    trino_milliseconds(i) // 3600000 % 24;

trino_interval_minute(i) :=
    trino_milliseconds(i) // 60000 % 60;

trino_interval_second(i) :=
    trino_milliseconds(i) // 1000 % 60;

trino_interval_millisecond(i) :=
    trino_milliseconds(i) % 1000;

trino_interval_year(i) :=
    trino_months(i) // 12;

trino_interval_month(i) :=
    trino_months(i) % 12;

trino_zone_minutes(v) :=
    date_diff('minute', struct_extract(v, 't'), trino_local(v));

trino_timezone_hour(v) :=
    trino_zone_minutes(v) // 60;

trino_timezone_minute(v) :=
    trino_zone_minutes(v) % 60;

-- Numbers and texts of them.

-- Few calls, for each costs time when a query is bound. DuckDB shows an exponent from 1e16 on and below 1e-4.
trino_double_text(x) :=
    CASE WHEN abs(x) < 10000000 AND (abs(x) >= 0.001 OR x = 0) THEN CAST(x AS VARCHAR)
    WHEN isnan(x) THEN 'NaN' WHEN isinf(x) THEN replace(CAST(x AS VARCHAR), 'inf', 'Infinity')
    WHEN contains(CAST(x AS VARCHAR), 'e') THEN regexp_replace(regexp_replace(CAST(x AS VARCHAR),
    '^(-?[0-9])e', '\1.0e'), 'e\+?(-?)0*', 'E\1')
    WHEN abs(x) < 1 THEN
    regexp_replace(regexp_replace(CAST(x AS VARCHAR), '0\.000([0-9])', '\1.'), '\.$', '.0') || 'E-4'
    ELSE regexp_replace(regexp_replace(CAST(x AS VARCHAR), '([0-9])([0-9]*)\.', '\1.\2'), '(\.[0-9]+?)0*$', '\1')
    || 'E' || (strpos(CAST(abs(x) AS VARCHAR), '.') - 2) END;

trino_real_text(x) :=
    trino_double_text(x);

trino_whole(x, kind) :=
    CASE WHEN trino_wrong(isnan(x) OR isinf(x), 'INVALID_CAST_ARGUMENT: Cannot cast ''' || trino_double_text(x) ||
    ''' to ' || kind) THEN NULL ELSE round(x) END;

trino_binary_text(b) :=
    rtrim(regexp_replace(lower(hex(b)), '(..)', '\1 ', 'g'));

trino_fmod(a, b) :=
    fmod(a, b);

trino_divide(a, b, up) :=
    (a * up) // b + CASE WHEN abs((a * up) % b) * 2 >= abs(b) THEN sign(a) * sign(b) ELSE 0 END;

trino_decimal_mod(a, b) :=
    a % b;

trino_interval_times_microseconds(i, n) :=
    to_microseconds(CAST(round(trino_microseconds(i) * n) AS BIGINT));

trino_interval_over_microseconds(i, n) :=
    to_microseconds(CAST(round(trino_microseconds(i) / n) AS BIGINT));

trino_interval_times_months(i, n) :=
    to_months(CAST(trunc(trino_months(i) * n) AS INTEGER));

trino_interval_over_months(i, n) :=
    to_months(CAST(trunc(trino_months(i) / n) AS INTEGER));

-- Arrays and maps.

trino_array_at(l, n) :=
    CASE WHEN CASE WHEN n = 0 THEN CAST('INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1' AS BOOLEAN) WHEN n
    < 0 THEN CAST('INVALID_FUNCTION_ARGUMENT: Array subscript is negative: ' || n AS BOOLEAN) WHEN n > len(l) THEN
    CAST('INVALID_FUNCTION_ARGUMENT: Array subscript must be less than or equal to array length: ' || n || ' > ' ||
    len(l) AS BOOLEAN) ELSE FALSE END THEN NULL ELSE list_extract(l, n) END;

trino_map(ks, vs) :=
    CASE WHEN CASE WHEN len(ks) <> len(vs) THEN
    CAST('INVALID_FUNCTION_ARGUMENT: Key and value arrays must be the same length' AS BOOLEAN) WHEN len(ks) <>
    list_unique(ks) THEN CAST('INVALID_FUNCTION_ARGUMENT: Duplicate map keys are not allowed' AS BOOLEAN) ELSE FALSE
    END THEN NULL ELSE map(ks, vs) END;

trino_map_at(m, k, shown) :=
    CASE WHEN trino_wrong(NOT map_contains(m, k), 'INVALID_FUNCTION_ARGUMENT: Key not present in map: ' || shown)
    THEN NULL ELSE m[k] END;

trino_map_of(entries) :=
    CASE WHEN list_unique(list_transform(entries, lambda e: e.k)) = len(entries) THEN map_from_entries(entries)
    ELSE map_from_entries(list_filter(entries, lambda e, i: e.k IS NOT NULL AND
    list_position(list_transform(entries, lambda o: o.k), e.k) = i)) END;

trino_multimap_of(entries) :=
    map_from_entries(list_transform(trino_distinct(list_transform(entries, lambda e: e.k)), lambda key: struct_pack(k
    := key, v := list_transform(list_filter(entries, lambda e: e.k = key), lambda e: e.v))));

trino_map_entries(m) :=
    list_transform(map_entries(m), lambda e: struct_pack(k := e.key, v := e.value));

-- Texts.

trino_trim(s) := trim(s, chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || ' ');

trino_ltrim(s) := ltrim(s, chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || ' ');

trino_rtrim(s) := rtrim(s, chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || ' ');

trino_substr(s, n) :=
    CASE WHEN n = 0 OR -n > length(s) THEN left(s, 0) ELSE substr(s, n) END;

trino_substr_of(s, n, l) :=
    CASE WHEN n = 0 OR l <= 0 OR -n > length(s) THEN left(s, 0) WHEN n > 0 THEN substr(s, n, l)
    ELSE substr(s, length(s) + n + 1, l) END;

trino_binary_substr(b, n, l) := unhex(substr(hex(b), n * 2 - 1, l * 2));

-- An empty search puts the replacement before each character and behind the last.
trino_replace(s, a, b) :=
    CASE WHEN a = '' THEN b || array_to_string(list_transform(string_split(s, ''), lambda c: c || b), '')
    ELSE replace(s, a, b) END;

trino_split(s, d, n) :=
    CASE WHEN trino_wrong(n <= 0, 'INVALID_FUNCTION_ARGUMENT: Limit must be positive') THEN NULL
    WHEN len(string_split(s, d)) <= n THEN string_split(s, d)
    ELSE list_append(list_slice(string_split(s, d), 1, n - 1),
    array_to_string(list_slice(string_split(s, d), n, len(string_split(s, d))), d)) END;

trino_split_part(s, d, n) :=
    CASE WHEN trino_wrong(n <= 0, 'INVALID_FUNCTION_ARGUMENT: Index must be greater than zero') THEN NULL
    ELSE string_split(s, d)[n] END;

trino_split_entries(s, d, kv) :=
    list_transform(string_split(s, d), lambda e: CASE
    WHEN trino_wrong(NOT contains(e, kv),
    'INVALID_FUNCTION_ARGUMENT: Key-value delimiter must appear exactly once in each entry. Bad input: ' || e)
    THEN NULL ELSE struct_pack(k := split_part(e, kv, 1), v := substr(e, strpos(e, kv) + length(kv))) END);

trino_split_to_map(s, d, kv) :=
    trino_map_from_entries(trino_split_entries(s, d, kv));

trino_split_to_multimap(s, d, kv) := trino_multimap_of(trino_split_entries(s, d, kv));

trino_strpos(s, p, n) :=
    CASE WHEN trino_wrong(n <= 0, 'INVALID_FUNCTION_ARGUMENT: ''instance'' must be a positive number.') THEN NULL
    WHEN len(string_split(s, p)) <= n THEN 0
    ELSE length(array_to_string(list_slice(string_split(s, p), 1, n), p)) + 1 END;

trino_hamming(a, b) :=
    CASE WHEN trino_wrong(length(a) <> length(b),
    'INVALID_FUNCTION_ARGUMENT: The input strings to hamming_distance function must have the same length') THEN NULL
    ELSE hamming(a, b) END;

-- Letters of one code that stand together, or with H or W between them, count once.
trino_soundex(s) :=
    CASE WHEN trino_wrong(regexp_matches(s, '[^\x00-\x7F]'), 'INVALID_FUNCTION_ARGUMENT: soundex is for letters of ASCII: '
    || s) THEN NULL ELSE list_transform([upper(regexp_replace(s, '[^A-Za-z]', '', 'g'))], lambda t:
    CASE WHEN t = '' THEN '' ELSE left(t, 1) || rpad(left(trino_soundex_digits(string_split(translate(left(t, 1) ||
    regexp_replace(substr(t, 2), '[HW]', '', 'g'), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', '01230120022455012623010202'), '')), 3),
    3, '0') END)[1] END;

trino_soundex_digits(codes) :=
    array_to_string(list_filter(codes, lambda c, i: i > 1 AND c <> '0' AND c <> codes[i - 1]), '');

trino_zero_padded(s, n) :=
    CASE WHEN length(s) >= n THEN s WHEN s[1] IN ('-', '+') THEN s[1] || lpad(substr(s, 2), n - 1, '0')
    ELSE lpad(s, n, '0') END;

trino_url_encode(s) :=
    replace(replace(replace(url_encode(s), '%20', '+'), '%2A', '*'), '~', '%7E');

-- Scheme, authority, path, query and fragment, by RFC 3986's own pattern.
trino_url_part(s, n) :=
    CASE WHEN contains(s, ' ') THEN NULL
    ELSE regexp_extract(s, '^(([^:/?#]+):)?(//([^/?#]*))?([^?#]*)(\?([^#]*))?(#(.*))?', n) END;

trino_url_host(s) :=
    regexp_extract(trino_url_part(s, 4), '^(?:[^@]*@)?(\[[^\]]*\]|[^:]*)', 1);

trino_url_port(s) :=
    TRY_CAST(nullif(regexp_extract(trino_url_part(s, 4), ':([0-9]+)$', 1), '') AS BIGINT);

trino_url_parameter(s, name) :=
    list_filter(list_transform(string_split(trino_url_part(s, 7), '&'), lambda p:
    CASE WHEN split_part(p, '=', 1) = name THEN
    url_decode(replace(CASE WHEN contains(p, '=') THEN substr(p, strpos(p, '=') + 1) ELSE '' END, '+', ' '))
    END), lambda p: p IS NOT NULL)[1];

-- More of numbers.

trino_sqrt(x) := CASE WHEN x < 0 THEN CAST('NaN' AS DOUBLE) ELSE sqrt(x) END;

trino_cbrt(x) :=
    CASE WHEN round(cbrt(x)) * round(cbrt(x)) * round(cbrt(x)) = x THEN round(cbrt(x)) ELSE cbrt(x) END;

trino_ln(x) :=
    CASE WHEN x > 0 OR isnan(x) THEN ln(x) WHEN x = 0 THEN CAST('-Infinity' AS DOUBLE)
    WHEN x < 0 THEN CAST('NaN' AS DOUBLE) END;

trino_log10(x) :=
    CASE WHEN x > 0 OR isnan(x) THEN log10(x) WHEN x = 0 THEN CAST('-Infinity' AS DOUBLE)
    WHEN x < 0 THEN CAST('NaN' AS DOUBLE) END;

trino_round(x, n) := CASE WHEN isfinite(x) THEN round(x, n) ELSE x END;

trino_truncate_decimal(x, n) :=
    CASE WHEN x >= 0 THEN floor(x * power(10, n)) ELSE ceil(x * power(10, n)) END / power(10, n);

trino_width_bucket(x, lo, hi, n) :=
    CASE WHEN trino_wrong(n <= 0, 'INVALID_FUNCTION_ARGUMENT: bucketCount must be greater than 0') THEN NULL
    WHEN lo < hi THEN CASE WHEN x < lo THEN 0 WHEN x >= hi THEN n + 1
    ELSE CAST(floor((x - lo) / (hi - lo) * n) AS BIGINT) + 1 END
    ELSE CASE WHEN x > lo THEN 0 WHEN x <= hi THEN n + 1
    ELSE CAST(floor((lo - x) / (lo - hi) * n) AS BIGINT) + 1 END END;

trino_great_circle(a, b, c, d) :=
    CASE WHEN trino_wrong(greatest(abs(a), abs(c)) > 90, 'INVALID_FUNCTION_ARGUMENT: Latitude must be between -90 and 90')
    OR trino_wrong(greatest(abs(b), abs(d)) > 180, 'INVALID_FUNCTION_ARGUMENT: Longitude must be between -180 and 180')
    OR a IS NULL OR b IS NULL OR c IS NULL OR d IS NULL THEN NULL
    ELSE 6371.01 * atan2(sqrt(power(cos(radians(c)) * sin(radians(b - d)), 2)
    + power(cos(radians(a)) * sin(radians(c)) - sin(radians(a)) * cos(radians(c)) * cos(radians(b - d)), 2)),
    sin(radians(a)) * sin(radians(c)) + cos(radians(a)) * cos(radians(c)) * cos(radians(b - d))) END;

trino_normal_cdf(m, d, x) :=
    CASE WHEN m IS NULL OR d IS NULL OR x IS NULL THEN NULL
    WHEN trino_wrong(NOT d > 0, 'INVALID_FUNCTION_ARGUMENT: standardDeviation must be > 0') THEN NULL
    ELSE trino_py_normal_cdf(m, d, x) END;

trino_inverse_normal_cdf(m, d, p) :=
    CASE WHEN m IS NULL OR d IS NULL OR p IS NULL THEN NULL
    WHEN trino_wrong(NOT (p > 0 AND p < 1), 'INVALID_FUNCTION_ARGUMENT: p must be 0 > p > 1')
    OR trino_wrong(NOT d > 0, 'INVALID_FUNCTION_ARGUMENT: standardDeviation must be > 0') THEN NULL
    ELSE trino_py_inverse_normal_cdf(m, d, p) END;

trino_beta_cdf(a, b, x) :=
    CASE WHEN a IS NULL OR b IS NULL OR x IS NULL THEN NULL
    WHEN trino_wrong(NOT (x >= 0 AND x <= 1), 'INVALID_FUNCTION_ARGUMENT: value must be in the interval [0, 1]')
    OR trino_wrong(NOT (a > 0 AND b > 0), 'INVALID_FUNCTION_ARGUMENT: a, b must be > 0') THEN NULL
    ELSE trino_py_beta_cdf(a, b, x) END;

trino_t_cdf(x, df) :=
    CASE WHEN x IS NULL OR df IS NULL THEN NULL
    WHEN trino_wrong(NOT df > 0, 'INVALID_FUNCTION_ARGUMENT: df must be greater than 0') THEN NULL
    ELSE trino_py_t_cdf(x, df) END;

-- The bounds differ by the sign of the last term.
trino_wilson(s, n, z, sign) :=
    CASE WHEN s IS NULL OR n IS NULL OR z IS NULL THEN NULL
    WHEN trino_wrong(s < 0, 'INVALID_FUNCTION_ARGUMENT: number of successes must not be negative')
    OR trino_wrong(n <= 0, 'INVALID_FUNCTION_ARGUMENT: number of trials must be positive')
    OR trino_wrong(s > n, 'INVALID_FUNCTION_ARGUMENT: number of successes must not be larger than number of trials')
    OR trino_wrong(z < 0, 'INVALID_FUNCTION_ARGUMENT: z-score must not be negative') THEN NULL
    ELSE (s / n + z * z / (2 * n) + sign * z * sqrt((s / n * (1 - s / n) + z * z / (4 * n)) / n)) / (1 + z * z / n) END;

-- Digits of the very double, so that halves alone are rounded up; a number below 10 shows two behind the point.
trino_format_scaled(x, unit) :=
    list_transform([CAST(printf('%.25f', x) AS DECIMAL(38, 25))], lambda d:
    rtrim(rtrim(CAST(CASE WHEN x < 10 THEN CAST(round(d, 2) AS DECIMAL(38, 2))
    WHEN x < 100 THEN CAST(round(d, 1) AS DECIMAL(38, 2)) ELSE CAST(round(d, 0) AS DECIMAL(38, 2)) END AS VARCHAR), '0'),
    '.') || unit)[1];

trino_format_number(n) :=
    list_transform([CAST(n AS DOUBLE)], lambda c:
    CASE WHEN abs(c) < 1000 THEN trino_format_scaled(c, '') WHEN abs(c) < 1e6 THEN trino_format_scaled(c / 1000, 'K')
    WHEN abs(c) < 1e9 THEN trino_format_scaled(c / 1000 / 1000, 'M')
    WHEN abs(c) < 1e12 THEN trino_format_scaled(c / 1000 / 1000 / 1000, 'B')
    WHEN abs(c) < 1e15 THEN trino_format_scaled(c / 1000 / 1000 / 1000 / 1000, 'T')
    ELSE trino_format_scaled(c / 1000 / 1000 / 1000 / 1000 / 1000, 'Q') END)[1];

trino_signed(h) :=
    CAST(CASE WHEN h >= CAST('9223372036854775808' AS HUGEINT) THEN h - CAST('18446744073709551616' AS HUGEINT)
    ELSE h END AS BIGINT);

trino_unsigned(b) :=
    CASE WHEN b < 0 THEN CAST(b AS HUGEINT) + CAST('18446744073709551616' AS HUGEINT) ELSE CAST(b AS HUGEINT) END;

trino_shift_left(b, n) :=
    CASE WHEN n >= 64 THEN 0 ELSE
    trino_signed((trino_unsigned(b) & (CAST('18446744073709551615' AS HUGEINT) >> CAST(n AS HUGEINT)))
    * CAST(power(2, n) AS HUGEINT)) END;

trino_shift_right(b, n) :=
    CASE WHEN n >= 64 THEN 0 ELSE trino_signed(trino_unsigned(b) >> CAST(n AS HUGEINT)) END;

trino_bit_count(b, n) :=
    CASE WHEN n = 64 THEN CAST(bit_count(b) AS BIGINT)
    ELSE CAST(bit_count(b & (CAST(power(2, n) AS BIGINT) - 1)) AS BIGINT) END;

trino_to_base(b, n) :=
    CASE WHEN b < 0 THEN '-' || lower(to_base(-b, CAST(n AS INTEGER))) ELSE lower(to_base(b, CAST(n AS INTEGER))) END;

trino_from_base(s, n) :=
    CASE WHEN trino_wrong(len(list_filter(string_split(lower(ltrim(s, '+-')), ''), lambda c:
    strpos('0123456789abcdefghijklmnopqrstuvwxyz', c) = 0 OR strpos('0123456789abcdefghijklmnopqrstuvwxyz', c) > n)) > 0
    OR ltrim(s, '+-') = '', 'INVALID_FUNCTION_ARGUMENT: Not a valid base-' || n || ' number: ' || s) THEN NULL
    ELSE CAST((CASE WHEN starts_with(s, '-') THEN -1 ELSE 1 END) * list_reduce(list_transform(
    string_split(lower(ltrim(s, '+-')), ''),
    lambda c: CAST(strpos('0123456789abcdefghijklmnopqrstuvwxyz', c) - 1 AS HUGEINT)),
    lambda a, d: a * n + d) AS BIGINT) END;

trino_hex_of(b, n) := right(lpad(hex(CAST(b AS BIGINT)), 16, '0'), n);

-- More of times.

trino_so_many(n, unit) := CASE WHEN n > 0 THEN n || unit || CASE WHEN n = 1 THEN '' ELSE 's' END END;

trino_human_readable_seconds(x) :=
    CASE WHEN trino_wrong(NOT isfinite(x), 'INVALID_FUNCTION_ARGUMENT: Invalid argument found: ' ||
    trino_double_text(x)) THEN NULL
    ELSE list_transform([CAST(floor(abs(x) + 0.5) AS BIGINT)], lambda s: CASE WHEN s = 0 THEN '0 seconds' WHEN s > 0 THEN
    concat_ws(', ', trino_so_many(s // 604800, ' week'), trino_so_many(s // 86400 % 7, ' day'),
    trino_so_many(s // 3600 % 24, ' hour'), trino_so_many(s // 60 % 60, ' minute'), trino_so_many(s % 60, ' second'))
    END)[1] END;

trino_moment_of(seconds, zone) :=
    CASE WHEN zone IS NULL OR seconds IS NULL THEN NULL ELSE
    struct_pack(t := make_timestamp(CAST(round(seconds * 1000) AS BIGINT) * 1000), z := zone) END;

trino_offset_name(h, m) :=
    CASE WHEN h = 0 AND m = 0 THEN 'UTC' ELSE printf('%s%02d:%02d', CASE WHEN h < 0 OR m < 0 THEN '-' ELSE '+' END,
    abs(h), abs(m)) END;

trino_offset_text(v, colon) :=
    printf('%s%02d%s%02d', CASE WHEN trino_zone_minutes(v) < 0 THEN '-' ELSE '+' END,
    abs(trino_zone_minutes(v)) // 60, colon, abs(trino_zone_minutes(v)) % 60);

trino_iso_zoned(v, p) :=
    replace(trino_timestamp_text(trino_local(v), p), ' ', 'T') ||
    CASE WHEN trino_zone_minutes(v) = 0 THEN 'Z' ELSE trino_offset_text(v, ':') END;

trino_iso_date(s) :=
    CASE WHEN trino_wrong(TRY_CAST(s AS DATE) IS NULL OR NOT regexp_full_match(s, '[0-9]{4}-[0-9]{2}-[0-9]{2}'),
    'INVALID_FUNCTION_ARGUMENT: Invalid format: "' || s || '"') THEN NULL ELSE CAST(s AS DATE) END;

trino_iso_zone(s) :=
    coalesce(nullif(regexp_extract(s, 'T.*?(Z|[+-][0-9]{2}(:?[0-9]{2})?)$', 1), ''), 'UTC');

trino_iso_moment(s, unit) :=
    trino_iso_of(s, unit);

trino_iso_of(s, unit) :=
    CASE WHEN trino_wrong(NOT regexp_full_match(s,
    '[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?(T([0-9]{2}(:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?)?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?'),
    'INVALID_FUNCTION_ARGUMENT: Invalid format: "' || s || '"') THEN NULL
    ELSE trino_in_zone(trino_round_time(CAST(rpad(regexp_extract(s, '^[0-9-]+'), 10, '-01-01') || ' ' ||
    trino_iso_clock(s) AS TIMESTAMP), unit), trino_zone_name(trino_iso_zone(s))) END;

trino_iso_clock(s) :=
    regexp_extract(s, 'T([0-9]{2})', 1) || CASE WHEN regexp_matches(s, 'T[0-9]') THEN '' ELSE '00' END ||
    CASE WHEN regexp_matches(s, 'T[0-9]{2}:[0-9]') THEN
    regexp_extract(s, 'T[0-9]{2}(:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?)', 1)
    ELSE ':00' END;

trino_strptime(s, f) :=
    CASE WHEN trino_wrong(try_strptime(s, f) IS NULL, 'INVALID_FUNCTION_ARGUMENT: Invalid format: "' || s || '"')
    THEN NULL ELSE try_strptime(s, f) END;

trino_strptime_zone(s, f) :=
    trino_in_zone(trino_strptime(regexp_replace(s, '\s?(Z|[+-][0-9]{2}:?[0-9]{2})$', ''), f),
    trino_zone_name(coalesce(nullif(regexp_extract(s, '(Z|[+-][0-9]{2}:?[0-9]{2})$', 1), ''), 'UTC')));

trino_duration(s) :=
    CASE WHEN trino_wrong(NOT regexp_full_match(s, '\s*[0-9]+(\.[0-9]+)?\s*(ns|us|ms|s|m|h|d)\s*'),
    'INVALID_FUNCTION_ARGUMENT: duration is not a valid data duration string: ' || s) THEN NULL
    ELSE to_milliseconds(CAST(round(CAST(regexp_extract(s, '[0-9]+(\.[0-9]+)?') AS DOUBLE) *
    CASE regexp_extract(s, '[a-z]+') WHEN 'ns' THEN 0.000001 WHEN 'us' THEN 0.001 WHEN 'ms' THEN 1 WHEN 's' THEN 1000
    WHEN 'm' THEN 60000 WHEN 'h' THEN 3600000 ELSE 86400000 END) AS BIGINT)) END;

-- More of arrays and maps.

trino_has(l, x) := CASE WHEN x IS NULL THEN list_count(l) < len(l) ELSE coalesce(list_contains(l, x), FALSE) END;

trino_contains(l, x) :=
    CASE WHEN l IS NULL OR x IS NULL THEN NULL WHEN list_contains(l, x) THEN TRUE
    WHEN list_count(l) < len(l) THEN NULL ELSE FALSE END;

trino_element_at(l, n) :=
    CASE WHEN trino_wrong(n = 0, 'INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1') THEN NULL
    ELSE list_extract(l, n) END;

trino_distinct(l) :=
    CASE WHEN list_unique(l) = len(l) THEN l ELSE list_filter(l, lambda x, i: list_position(l, x) = i) END;

trino_array_max(l) := CASE WHEN list_count(l) = len(l) THEN list_max(l) END;

trino_array_min(l) := CASE WHEN list_count(l) = len(l) THEN list_min(l) END;

trino_overlap(a, b) :=
    CASE WHEN a IS NULL OR b IS NULL THEN NULL WHEN len(list_filter(a, lambda x: list_contains(b, x))) > 0 THEN TRUE
    WHEN len(a) > 0 AND len(b) > 0 AND (list_count(a) < len(a) OR list_count(b) < len(b)) THEN NULL ELSE FALSE END;

trino_slice(l, n, c) :=
    CASE WHEN CASE WHEN n = 0 THEN CAST('INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1' AS BOOLEAN)
    WHEN c < 0 THEN CAST('INVALID_FUNCTION_ARGUMENT: length must be greater than or equal to 0' AS BOOLEAN)
    ELSE FALSE END THEN NULL WHEN c = 0 OR -n > len(l) THEN list_slice(l, 1, 0)
    WHEN n > 0 THEN list_slice(l, n, n + c - 1)
    ELSE list_slice(l, len(l) + n + 1, len(l) + n + c) END;

trino_trim_array(l, n) :=
    CASE WHEN CASE WHEN n < 0 THEN CAST('INVALID_FUNCTION_ARGUMENT: size must not be negative: ' || n AS BOOLEAN)
    WHEN n > len(l) THEN CAST('INVALID_FUNCTION_ARGUMENT: size must not exceed array cardinality ' || len(l) || ': ' || n
    AS BOOLEAN) ELSE FALSE END THEN NULL ELSE list_slice(l, 1, len(l) - n) END;

trino_any(b) :=
    CASE WHEN b IS NULL THEN NULL WHEN list_contains(b, TRUE) THEN TRUE WHEN list_count(b) < len(b) THEN NULL
    ELSE FALSE END;

trino_all(b) :=
    CASE WHEN b IS NULL THEN NULL WHEN list_contains(b, FALSE) THEN FALSE WHEN list_count(b) < len(b) THEN NULL
    ELSE TRUE END;

trino_ngrams(l, n) :=
    CASE WHEN len(l) <= n THEN [l] ELSE
    list_transform(range(1, CAST(len(l) - n + 2 AS BIGINT)), lambda i: list_slice(l, i, i + n - 1)) END;

trino_sequence(a, b, s) :=
    CASE WHEN trino_wrong(s = 0 OR (b > a AND s < 0) OR (b < a AND s > 0),
    'INVALID_FUNCTION_ARGUMENT: sequence stop value should be greater than or equal to start value if step is '
    || 'greater than zero otherwise stop should be less than or equal to start') THEN NULL
    ELSE generate_series(a, b, s) END;

trino_map_from_entries(l) :=
    CASE WHEN trino_wrong(len(l) <> list_unique(list_transform(l, lambda e: e.k)),
    'INVALID_FUNCTION_ARGUMENT: Duplicate map keys are not allowed') THEN NULL
    ELSE map_from_entries(l) END;

trino_sorted_map(l) := map_from_entries(list_sort(l));

-- Addresses of IP, held as 16 bytes. Most are of version 4, which needs no function of Python.

trino_ip(s) :=
    CASE WHEN regexp_full_match(s,
    '((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])')
    THEN unhex('00000000000000000000FFFF' || array_to_string(list_transform(string_split(s, '.'),
    lambda n: printf('%02X', CAST(n AS INTEGER))), ''))
    ELSE list_transform([trino_py_ip(s)], lambda b: CASE WHEN trino_wrong(b IS NULL AND s IS NOT NULL,
    'INVALID_CAST_ARGUMENT: Cannot cast value to IPADDRESS: ' || s) THEN NULL ELSE b END)[1] END;

trino_ip_mapped(b) := starts_with(hex(b), '00000000000000000000FFFF');

trino_ip_of_bytes(b) :=
    CASE WHEN trino_wrong(octet_length(b) NOT IN (4, 16),
    'INVALID_CAST_ARGUMENT: Invalid IP address binary length: ' || octet_length(b)) THEN NULL
    WHEN octet_length(b) = 4 THEN unhex('00000000000000000000FFFF' || hex(b)) ELSE b END;

trino_ip_text(b) :=
    CASE WHEN trino_ip_mapped(b) THEN array_to_string(list_transform(range(25, 33, 2),
    lambda n: CAST('0x' || substr(hex(b), n, 2) AS INTEGER)), '.') ELSE trino_py_ip_text(b) END;

-- No network of version 6 holds addresses of version 4, however these are mapped.
trino_network_contains(n, a) :=
    CASE WHEN a IS NULL OR trino_wrong(trino_network_wrong(n) <> '',
    'INVALID_FUNCTION_ARGUMENT: ' || trino_network_wrong(n)) THEN NULL
    ELSE a BETWEEN trino_network_first(n) AND trino_network_last(n)
    AND trino_ip_mapped(a) = trino_ip_mapped(trino_network_first(n)) END;

-- Aggregates of weighted items, `v` and `w`.

trino_weighted(items) :=
    list_transform([list_sort(list_filter(items, lambda e: e.v IS NOT NULL AND e.w IS NOT NULL))],
    lambda l: CASE WHEN len(l) > 0 THEN l END)[1];

trino_weighted_percentiles(items, shares) :=
    list_transform([trino_weighted(items)], lambda l: CASE
    WHEN trino_wrong(len(list_filter(shares, lambda p: p < 0 OR p > 1)) > 0,
    'INVALID_FUNCTION_ARGUMENT: Percentile must be between 0 and 1') THEN NULL
    WHEN trino_wrong(list_min(list_transform(l, lambda e: e.w)) <= 0,
    'INVALID_FUNCTION_ARGUMENT: percentile weight must be > 0') THEN NULL
    ELSE list_transform(trino_weighted_places(list_transform(l, lambda e: e.w), shares), lambda i: l[i].v) END)[1];

trino_numeric_histogram(items, buckets) :=
    list_transform([trino_weighted(items)], lambda l: CASE WHEN trino_wrong(buckets < 2,
    'INVALID_FUNCTION_ARGUMENT: numeric_histogram bucket count must be greater than one') THEN NULL
    ELSE list_transform([trino_histogram(list_transform(l, lambda e: e.v), list_transform(l, lambda e: e.w), buckets)],
    lambda h: CASE WHEN h IS NOT NULL THEN map(h[1], h[2]) END)[1] END)[1];

-- JSON, held as its text.

trino_json_or_null(s) := CASE WHEN json_valid(s) THEN s END;

trino_json_parse(s) :=
    CASE WHEN trino_wrong(NOT json_valid(s), 'INVALID_FUNCTION_ARGUMENT: Cannot convert value to JSON: ''' || s || '''')
    THEN NULL ELSE CAST(json(s) AS VARCHAR) END;

trino_to_json(s) := CAST(to_json(s) AS VARCHAR);

trino_json_of(x) := CASE WHEN x IS NULL THEN NULL ELSE CAST(to_json(x) AS VARCHAR) END;

trino_json_text(j) :=
    CASE WHEN trino_wrong(json_type(j) IN ('OBJECT', 'ARRAY'), 'INVALID_CAST_ARGUMENT: Cannot cast to varchar: ' || j)
    THEN NULL WHEN json_type(j) = 'NULL' THEN NULL ELSE json_extract_string(j, '$') END;

trino_json_scalar(j, kind) :=
    CASE WHEN trino_wrong(json_type(j) IN ('OBJECT', 'ARRAY'),
    'INVALID_CAST_ARGUMENT: Cannot cast to ' || kind || ': ' || j)
    THEN NULL WHEN json_type(j) = 'NULL' THEN NULL ELSE json_extract_string(j, '$') END;

trino_json_number(j, kind) :=
    CASE j WHEN 'true' THEN '1' WHEN 'false' THEN '0' ELSE trino_json_scalar(j, kind) END;

trino_json_whole(j, kind) :=
    CASE WHEN json_type(j) = 'DOUBLE' THEN format('{:.0f}', round(CAST(j AS DOUBLE))) ELSE trino_json_number(j, kind) END;

trino_json_truth(j, kind) :=
    CASE WHEN json_type(j) IN ('BIGINT', 'UBIGINT', 'HUGEINT', 'UHUGEINT', 'DOUBLE')
    THEN CAST(CAST(j AS DOUBLE) <> 0 AS VARCHAR) ELSE trino_json_scalar(j, kind) END;

trino_json_scalar_at(j, p) :=
    CASE WHEN json_type(j, p) IN ('OBJECT', 'ARRAY', 'NULL') THEN NULL ELSE json_extract_string(j, p) END;

trino_json_items(j) :=
    CASE WHEN trino_wrong(json_type(j) NOT IN ('ARRAY', 'NULL'), 'INVALID_CAST_ARGUMENT: Cannot cast to array: ' || j)
    THEN NULL WHEN json_type(j) = 'NULL' THEN NULL ELSE CAST(json_extract(j, '$[*]') AS VARCHAR[]) END;

trino_json_field(j, name, place) :=
    CAST(json_extract(j, CASE WHEN json_type(j) = 'ARRAY' THEN '/' || place ELSE
    '/' || replace(replace(name, '~', '~0'), '/', '~1') END) AS VARCHAR);

trino_json_entries(j) :=
    CASE WHEN trino_wrong(json_type(j) NOT IN ('OBJECT', 'NULL'), 'INVALID_CAST_ARGUMENT: Cannot cast to map: ' || j)
    THEN NULL WHEN json_type(j) = 'NULL' THEN NULL ELSE
    list_transform(json_keys(j), lambda n: struct_pack(k := n, v := trino_json_field(j, n, 0))) END;

trino_json_array_length(j) :=
    CASE WHEN json_valid(j) AND json_type(j) = 'ARRAY' THEN CAST(json_array_length(j) AS BIGINT) END;

trino_json_array_get(j, n) :=
    CASE WHEN json_valid(j) AND json_type(j) = 'ARRAY' THEN CAST(json_extract(j, '/' ||
    CASE WHEN n < 0 THEN json_array_length(j) + n ELSE n END) AS VARCHAR) END;

trino_json_size(j) :=
    CASE json_type(j) WHEN 'ARRAY' THEN CAST(json_array_length(j) AS BIGINT) WHEN 'OBJECT' THEN len(json_keys(j))
    ELSE 0 END;

trino_json_has_text(j, x) :=
    CASE WHEN json_type(j) = 'ARRAY' THEN
    list_contains(CAST(json_extract(j, '$[*]') AS VARCHAR[]), CAST(to_json(x) AS VARCHAR))
    END;

trino_json_has(j, x, kind) :=
    CASE WHEN json_type(j) = 'ARRAY' THEN list_contains(CAST(json_extract(j, '$[*]') AS VARCHAR[]), x) END;

trino_json_has_number(j, x) :=
    CASE WHEN json_type(j) = 'ARRAY' THEN coalesce(list_contains(
    list_transform(CAST(json_extract(j, '$[*]') AS VARCHAR[]),
    lambda e: TRY_CAST(e AS DOUBLE)), x), FALSE) END;

trino_json_said(s) :=
    CASE WHEN trino_wrong(NOT json_valid(s), 'JSON_INPUT_CONVERSION_ERROR: conversion to JSON failed: ' || s)
    THEN NULL ELSE CAST(json(s) AS VARCHAR) END;

trino_json_key(k) :=
    CASE WHEN trino_wrong(k IS NULL,
    'INVALID_FUNCTION_ARGUMENT: null value passed for JSON object key to JSON_OBJECT function') THEN NULL ELSE k END;

-- Steps of paths, from sequences of items to sequences; NULL is a sequence that there cannot be.

trino_path_all(lists) := list_transform([lists], lambda w: CASE WHEN list_count(w) = len(w) THEN flatten(w) END)[1];

trino_path_unwrapped(items) :=
    flatten(list_transform(items, lambda x:
    CASE WHEN json_type(x) = 'ARRAY' THEN CAST(json_extract(x, '$[*]') AS VARCHAR[]) ELSE [x] END));

trino_path_lax_member(items, p) :=
    list_filter(list_transform(list_filter(trino_path_unwrapped(items), lambda x: json_type(x) = 'OBJECT'),
    lambda x: CAST(json_extract(x, p) AS VARCHAR)), lambda x: x IS NOT NULL);

trino_path_strict_member(items, p) :=
    trino_path_all(list_transform(items, lambda x:
    CASE WHEN json_type(x) = 'OBJECT' AND json_type(x, p) IS NOT NULL THEN [CAST(json_extract(x, p) AS VARCHAR)] END));

trino_path_lax_members(items) :=
    flatten(list_transform(list_filter(trino_path_unwrapped(items), lambda x: json_type(x) = 'OBJECT'),
    lambda x: CAST(json_extract(x, '$.*') AS VARCHAR[])));

trino_path_strict_members(items) :=
    trino_path_all(list_transform(items, lambda x:
    CASE WHEN json_type(x) = 'OBJECT' THEN CAST(json_extract(x, '$.*') AS VARCHAR[]) END));

trino_path_lax_arrays(items) :=
    list_transform(items, lambda x:
    CASE WHEN json_type(x) = 'ARRAY' THEN CAST(json_extract(x, '$[*]') AS VARCHAR[]) ELSE [x] END);

trino_path_strict_arrays(items) :=
    list_transform([items], lambda w: CASE WHEN len(list_filter(w, lambda x: json_type(x) <> 'ARRAY')) = 0
    THEN trino_path_lax_arrays(w) END)[1];

trino_array_position(l, x) :=
    CASE WHEN l IS NOT NULL AND x IS NOT NULL THEN CAST(coalesce(list_position(l, x), 0) AS BIGINT) END;

trino_array_remove(l, x) := CASE WHEN x IS NOT NULL THEN list_filter(l, lambda e: e IS DISTINCT FROM x) END;

trino_shuffle(l) :=
    list_transform(list_sort(list_transform(l, lambda x: struct_pack(r := random(), v := x))), lambda e: e.v);

-- Each is so many months from the first one: a month that is too short does not shorten those behind it.
trino_months_between(a, b, step) :=
    CASE WHEN trino_wrong(step = 0 OR (b > a AND step < 0) OR (b < a AND step > 0),
    'INVALID_FUNCTION_ARGUMENT: sequence stop value should be greater than or equal to start value if step is '
    || 'greater than zero otherwise stop should be less than or equal to start') THEN NULL
    ELSE list_filter(list_transform(range(0, abs(date_diff('month', a, b)) // abs(step) + 2),
    lambda n: a + to_months(CAST(n * step AS INTEGER))), lambda d: CASE WHEN step > 0 THEN d <= b ELSE d >= b END) END;

-- DuckDB leaves out the nought before the point where no digit can stand there.
trino_fraction_text(x) := regexp_replace(CAST(x AS VARCHAR), '^(-?)\.', '\10.');
