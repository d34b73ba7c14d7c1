"""Values of tables from texts, as SQL: what Hive's serializers for text read, and NULL or an error for the rest."""

from dataclasses import dataclass

from clary.lake.formats.java_time import strptime_formats
from clary.lake.formats.parts import literal
from clary.lake.types import Type, duckdb_type

_WHOLE = frozenset({"tinyint", "smallint", "int", "bigint"})


@dataclass(frozen=True, slots=True)
class Texts:
    """How texts of a table become values.

    What is no value of its type is NULL, or with `strict` an error of the query; then `field` says where it stood.
    `times` are further notations of timestamps, in Java's letters, or `millis`. With `numbers`, dates are days since
    1970 and timestamps milliseconds, as OpenCSVSerde has them; with `epochs`, timestamps may be seconds or, from 13
    digits on, milliseconds since 1970 as well, as JSON has them.
    """

    strict: bool = False
    times: tuple[str, ...] = ()
    numbers: bool = False
    epochs: bool = False
    field: str = ""

    def value(self, text: str, of: Type) -> str:
        """The SQL of a value of a plain type, from the SQL of its text."""
        made = self._made(text, of)
        if not self.strict or of.name in ("string", "char", "varchar", "binary"):
            return made
        begin = "'HIVE_BAD_DATA: Error parsing field value '''"
        said = f"{begin} || {text} || ''' for field {self.field}: not a value of {of}'"
        kind = duckdb_type(of)
        return f"CASE WHEN {text} IS NOT NULL THEN coalesce({made}, CAST(error({said}) AS {kind})) END"

    def _made(self, text: str, of: Type) -> str:
        kind = duckdb_type(of)
        if of.name in _WHOLE:
            return whole(text, kind)
        if of.name == "boolean":
            return f"CASE lower({text}) WHEN 'true' THEN true WHEN 'false' THEN false END"
        if of.name == "string":
            return text
        if of.name == "varchar":
            return f"left({text}, {of.numbers[0]})" if of.numbers else text
        if of.name == "char":
            return f"rtrim(left({text}, {of.numbers[0]}), ' ')" if of.numbers else text
        if of.name == "binary":
            return f"coalesce(TRY(from_base64({text})), encode({text}))"
        if of.name == "date":
            return (
                f"DATE '1970-01-01' + {whole(text, 'INTEGER')}" if self.numbers else f"TRY_CAST(trim({text}) AS DATE)"
            )
        if of.name == "timestamp":
            return self._timestamp(text)
        return f"TRY_CAST(trim({text}) AS {kind})"

    def _timestamp(self, text: str) -> str:
        if self.numbers:
            return f"make_timestamp_ms({whole(text, 'BIGINT')})"
        made = [f"TRY_CAST(trim({text}) AS TIMESTAMP)"]
        patterns = [pattern for each in self.times if each != "millis" for pattern in strptime_formats(each)]
        if patterns:
            listed = ", ".join(map(literal, patterns))
            made.insert(0, f"CAST(try_strptime({text}, [{listed}]) AS TIMESTAMP)")
        if "millis" in self.times:
            made.insert(0, f"make_timestamp_ms({whole(text, 'BIGINT')})")
        if self.epochs:
            millis = f"make_timestamp_ms(CAST({text} AS BIGINT))"
            made.append(
                f"CASE WHEN regexp_full_match({text}, '-?[0-9]{{13,18}}') THEN {millis} "
                f"WHEN regexp_full_match({text}, '-?[0-9]+(\\.[0-9]*)?') "
                f"THEN make_timestamp_ms(TRY_CAST(trunc(TRY_CAST({text} AS DOUBLE) * 1000) AS BIGINT)) END"
            )
        return made[0] if len(made) == 1 else f"coalesce({', '.join(made)})"


def whole(text: str, kind: str) -> str:
    """A whole number: what follows its point is dropped, as Hive does, which reads no exponents."""
    first = f"TRY_CAST(split_part({text}, '.', 1) AS {kind})"
    return (
        f"CASE WHEN regexp_full_match({text}, '[+-]?[0-9]+') THEN TRY_CAST({text} AS {kind}) "
        f"WHEN regexp_full_match({text}, '[+-]?[0-9]+\\.[0-9]*') THEN {first} END"
    )
