"""What happened to alarms."""

from collections.abc import Sequence
from typing import Any

import orjson

from clary.kernel.rooms import Context, operation
from clary.support.cloudwatch.records import AlarmHistoryItem
from clary.support.cloudwatch.times import epoch
from clary.support.cloudwatch.tokens import read_number, write_token

_DEFAULT_RECORDS = 100


@operation("cloudwatch", "DescribeAlarmHistory")
def describe_alarm_history(
    ctx: Context,
    AlarmName: str | None = None,
    AlarmTypes: Sequence[str] | None = None,
    HistoryItemType: str | None = None,
    StartDate: float | None = None,
    EndDate: float | None = None,
    ScanBy: str | None = None,
    MaxRecords: int | None = None,
    NextToken: str | None = None,
) -> dict[str, Any]:
    """What happened to one alarm or to all in the last 30 days, the newest first unless told otherwise."""
    if AlarmTypes and "MetricAlarm" not in AlarmTypes:
        return {"AlarmHistoryItems": []}
    listed = ctx.records(AlarmHistoryItem).all(
        parent=AlarmName,
        created_after=None if StartDate is None else epoch(StartDate),
        created_before=None if EndDate is None else epoch(EndDate),
        descending=ScanBy != "TimestampAscending",
    )
    found = [entry for entry in listed if HistoryItemType in {None, entry.value.kind}]
    skip, count = read_number(NextToken), MaxRecords or _DEFAULT_RECORDS
    return {
        "AlarmHistoryItems": [
            {
                "AlarmName": entry.value.alarm,
                "AlarmType": "MetricAlarm",
                "Timestamp": entry.created_at,
                "HistoryItemType": entry.value.kind,
                "HistorySummary": entry.value.summary,
                "HistoryData": orjson.dumps(entry.value.data).decode(),
            }
            for entry in found[skip : skip + count]
        ],
        "NextToken": write_token(b"%d" % (skip + count)) if len(found) > skip + count else None,
    }
