"""Features without skew, with plain boto3: a model learns from the offline store, and is served from the online store.

    eval "$(clary env)" && python examples/features.py

How long will a flight be in the air? What is known of its route and of its carrier says much, and changes every month.
It is put into two feature groups, month by month. A query of Athena gives each flight of the past what was known when
it departed, and nothing that came to be known later; the built-in XGBoost learns from that. The flights of December are
then scored with what a lookup answers. Both stores must say the same of them, to the last digit: if one differs, this
program fails. The same program runs against AWS (with ROLE_ARN set).
"""

import csv
import io
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import linear_regression

import boto3

DATA = Path(__file__).parent / "data" / "flights.csv"
YEAR, TRAINING, VALIDATION, SERVED = 2013, range(3, 11), 11, 12
ROUNDS = 60
ROUTE_FEATURES = ("flights", "mean_minutes", "longest_minutes")
CARRIER_FEATURES = ("flights", "minutes_per_100_miles")

region = boto3.session.Session().region_name or "us-east-1"
account = boto3.client("sts").get_caller_identity()["Account"]
role = os.environ.get("ROLE_ARN", f"arn:aws:iam::{account}:role/clary-execution-role")
image = f"683313688378.dkr.ecr.{region}.amazonaws.com/sagemaker-xgboost:1.7-1"
bucket = f"features-{account}-{region}"
name = f"features-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"

s3 = boto3.client("s3")
sagemaker = boto3.client("sagemaker")
features = boto3.client("sagemaker-featurestore-runtime")
athena = boto3.client("athena")
runtime = boto3.client("sagemaker-runtime")


def wait(look: Callable[[], object], seconds: float = 600) -> None:
    """Until `look` says something."""
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            raise SystemExit("waited in vain")
        time.sleep(0.2)


def load() -> list[dict]:
    """The flights, each with a number, its route, and when it departed."""
    with DATA.open(newline="") as file:
        flights = list(csv.DictReader(file))
    for number, flight in enumerate(flights):
        for column in ("air_minutes", "month", "day", "scheduled_departure_minute", "distance_miles"):
            flight[column] = int(flight[column])
        hour, minute = divmod(flight["scheduled_departure_minute"] % 1440, 60)
        day = f"{YEAR}-{flight['month']:02}-{flight['day']:02}"
        flight |= {"flight": number, "departs": f"{day}T{hour:02}:{minute:02}:00Z"}
        flight["route"] = f"{flight['origin']}-{flight['destination']}"
    return flights


def snapshots(flights: list[dict]) -> Iterator[tuple[str, dict]]:
    """What is known of routes and carriers at the beginning of each month, from the flights before it."""
    for month in range(2, 13):
        known_at = f"{YEAR}-{month:02}-01T00:00:00Z"
        before = [flight for flight in flights if flight["month"] < month]
        for route, some in grouped(before, "route").items():
            minutes = [flight["air_minutes"] for flight in some]
            mean = sum(minutes) / len(minutes)
            values = {"flights": len(some), "mean_minutes": mean, "longest_minutes": max(minutes)}
            yield "routes", {"route": route, "known_at": known_at, **values}
        for carrier, some in grouped(before, "carrier").items():
            minutes, miles = (sum(flight[of] for flight in some) for of in ("air_minutes", "distance_miles"))
            values = {"flights": len(some), "minutes_per_100_miles": 100 * minutes / miles}
            yield "carriers", {"carrier": carrier, "known_at": known_at, **values}


def grouped(flights: list[dict], column: str) -> dict[str, list[dict]]:
    groups: dict[str, list[dict]] = defaultdict(list)
    for flight in flights:
        groups[flight[column]].append(flight)
    return groups


def create_groups() -> dict[str, dict]:
    """Both feature groups, with an online and an offline store; their descriptions."""
    if bucket not in [found["Name"] for found in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=bucket)
    types = {
        "routes": {"route": "String", "known_at": "String", "flights": "Integral", "mean_minutes": "Fractional",
                   "longest_minutes": "Integral"},
        "carriers": {"carrier": "String", "known_at": "String", "flights": "Integral",
                     "minutes_per_100_miles": "Fractional"},
    }  # fmt: skip
    for group, columns in types.items():
        sagemaker.create_feature_group(
            FeatureGroupName=f"{name}-{group}",
            RecordIdentifierFeatureName=next(iter(columns)),
            EventTimeFeatureName="known_at",
            FeatureDefinitions=[{"FeatureName": column, "FeatureType": type_} for column, type_ in columns.items()],
            OnlineStoreConfig={"EnableOnlineStore": True},
            OfflineStoreConfig={"S3StorageConfig": {"S3Uri": f"s3://{bucket}/offline"}},
            RoleArn=role,
        )
    described = {}
    for group in types:

        def created(group: str = group) -> bool:
            described[group] = sagemaker.describe_feature_group(FeatureGroupName=f"{name}-{group}")
            if described[group]["FeatureGroupStatus"] == "CreateFailed":
                raise SystemExit(described[group]["FailureReason"])
            return described[group]["FeatureGroupStatus"] == "Created"

        wait(created)
    return described


def put(group: str, values: dict) -> None:
    record = [{"FeatureName": column, "ValueAsString": str(value)} for column, value in values.items()]
    features.put_record(FeatureGroupName=f"{name}-{group}", Record=record)


def query(text: str) -> list[dict]:
    """The rows of a query of Athena, its values as texts."""
    started = athena.start_query_execution(
        QueryString=text, ResultConfiguration={"OutputLocation": f"s3://{bucket}/queries/"}
    )
    found: dict = {}

    def ended() -> bool:
        found.update(athena.get_query_execution(QueryExecutionId=started["QueryExecutionId"])["QueryExecution"])
        return found["Status"]["State"] in ("SUCCEEDED", "FAILED", "CANCELLED")

    wait(ended)
    if found["Status"]["State"] != "SUCCEEDED":
        raise SystemExit(f"the query failed: {found['Status'].get('StateChangeReason')}")
    key = found["ResultConfiguration"]["OutputLocation"].removeprefix(f"s3://{bucket}/")
    return list(csv.DictReader(io.StringIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode())))


def table_of(group: dict) -> str:
    catalog = group["OfflineStoreConfig"]["DataCatalogConfig"]
    return f'"{catalog["Database"]}"."{catalog["TableName"]}"'


def share_flights(flights: list[dict]) -> str:
    """The flights as a table that a query can join; its name."""
    numbers = ("flight", "air_minutes", "month", "scheduled_departure_minute", "distance_miles")
    columns = (*numbers, "departs", "route", "carrier")
    lines = "\n".join(",".join(str(flight[column]) for column in columns) for flight in flights)
    s3.put_object(Bucket=bucket, Key=f"{name}/flights/flights.csv", Body=lines.encode())
    table = name.replace("-", "_")
    typed = ", ".join(f"{column} {'int' if column in numbers else 'string'}" for column in columns)
    query("CREATE DATABASE IF NOT EXISTS flights")
    query(
        f"CREATE EXTERNAL TABLE flights.{table} ({typed}) ROW FORMAT DELIMITED FIELDS TERMINATED BY ',' "
        f"LOCATION 's3://{bucket}/{name}/flights/'"
    )
    return f'"flights"."{table}"'


def known_at_departure(flights: str, groups: dict[str, dict]) -> list[dict]:
    """Each flight with the features that its route and its carrier had when it departed."""

    def history(group: str, key: str, columns: tuple[str, ...]) -> str:
        selected = ", ".join(f"g.{column} AS {group}_{column}" for column in columns)
        return (
            f"SELECT f.flight, {selected}, row_number() OVER (PARTITION BY f.flight "
            "ORDER BY g.known_at DESC, g.api_invocation_time DESC, g.write_time DESC) AS nth "
            f"FROM {flights} f JOIN {table_of(groups[group])} g ON g.{key} = f.{key} AND g.known_at <= f.departs "
            "WHERE NOT g.is_deleted"
        )

    chosen = [f"r.routes_{column}" for column in ROUTE_FEATURES]
    chosen += [f"c.carriers_{column}" for column in CARRIER_FEATURES]
    return query(
        f"WITH r AS ({history('routes', 'route', ROUTE_FEATURES)}), "
        f"c AS ({history('carriers', 'carrier', CARRIER_FEATURES)}) "
        f"SELECT f.flight, f.month, f.air_minutes, f.scheduled_departure_minute, f.distance_miles, {', '.join(chosen)} "
        f"FROM {flights} f JOIN r ON r.flight = f.flight AND r.nth = 1 "
        "JOIN c ON c.flight = f.flight AND c.nth = 1 ORDER BY f.flight"
    )


def inputs(row: dict) -> list[float]:
    """What the model sees of a flight, from a row of the query."""
    columns = ["scheduled_departure_minute", "distance_miles"]
    columns += [f"routes_{column}" for column in ROUTE_FEATURES]
    columns += [f"carriers_{column}" for column in CARRIER_FEATURES]
    return [float(row[column]) for column in columns]


def looked_up(flights: list[dict]) -> list[list[float]]:
    """What the model sees of flights, from lookups."""
    found: dict[tuple[str, str], list[float]] = {}
    for group, key, columns in (("routes", "route", ROUTE_FEATURES), ("carriers", "carrier", CARRIER_FEATURES)):
        wanted = sorted({flight[key] for flight in flights})
        for start in range(0, len(wanted), 100):
            identifiers = {
                "FeatureGroupName": f"{name}-{group}",
                "RecordIdentifiersValueAsString": wanted[start : start + 100],
                "FeatureNames": [key, *columns],
            }
            for one in features.batch_get_record(Identifiers=[identifiers])["Records"]:
                values = {value["FeatureName"]: value["ValueAsString"] for value in one["Record"]}
                found[group, values[key]] = [float(values[column]) for column in columns]
    return [
        [float(flight["scheduled_departure_minute"]), float(flight["distance_miles"]),
         *found["routes", flight["route"]], *found["carriers", flight["carrier"]]]
        for flight in flights
    ]  # fmt: skip


def as_csv(rows: list[list[float]]) -> str:
    return "\n".join(",".join(map(repr, row)) for row in rows)


def train(known: list[dict]) -> str:
    """Run the training job; return the URI of the model."""
    channels = []
    for channel, months in (("train", TRAINING), ("validation", [VALIDATION])):
        rows = [[float(row["air_minutes"]), *inputs(row)] for row in known if int(row["month"]) in months]
        s3.put_object(Bucket=bucket, Key=f"{name}/{channel}/flights.csv", Body=as_csv(rows).encode())
        source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/{name}/{channel}/"}
        channels.append({"ChannelName": channel, "ContentType": "text/csv", "DataSource": {"S3DataSource": source}})
    sagemaker.create_training_job(
        TrainingJobName=name,
        RoleArn=role,
        AlgorithmSpecification={"TrainingImage": image, "TrainingInputMode": "File"},
        HyperParameters={"objective": "reg:squarederror", "num_round": str(ROUNDS), "max_depth": "4", "eta": "0.15"},
        InputDataConfig=channels,
        OutputDataConfig={"S3OutputPath": f"s3://{bucket}/{name}/output"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
    )
    job: dict = {}

    def ended() -> bool:
        job.update(sagemaker.describe_training_job(TrainingJobName=name))
        return job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped")

    wait(ended)
    if job["TrainingJobStatus"] != "Completed":
        raise SystemExit(f"the training job ended as {job['TrainingJobStatus']}: {job.get('FailureReason')}")
    return job["ModelArtifacts"]["S3ModelArtifacts"]


def deploy(artifact: str) -> None:
    sagemaker.create_model(
        ModelName=name, ExecutionRoleArn=role, PrimaryContainer={"Image": image, "ModelDataUrl": artifact}
    )
    variant = {"VariantName": "all", "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 300})


def score(rows: list[list[float]]) -> list[float]:
    answers: list[float] = []
    for start in range(0, len(rows), 500):
        body = as_csv(rows[start : start + 500])
        answer = runtime.invoke_endpoint(EndpointName=name, ContentType="text/csv", Accept="text/csv", Body=body)
        answers += [float(value) for value in answer["Body"].read().decode().replace("\n", ",").split(",") if value]
    return answers


def rmse(answers: list[float], flights: list[dict]) -> float:
    pairs = zip(answers, flights, strict=True)
    return (sum((answer - flight["air_minutes"]) ** 2 for answer, flight in pairs) / len(flights)) ** 0.5


def remove() -> None:
    """Take away what would go on to run or to be found; data and tables stay."""
    sagemaker.delete_endpoint(EndpointName=name)
    for group in ("routes", "carriers"):
        sagemaker.delete_feature_group(FeatureGroupName=f"{name}-{group}")


def main() -> None:
    flights = load()
    print(f"1. Creating the feature groups {name}-routes and {name}-carriers")
    groups = create_groups()

    facts = list(snapshots(flights))
    print(f"2. Putting {len(facts):,} records: what was known at the beginning of each month")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda fact: put(*fact), facts))

    print("3. Asking Athena what was known of each flight when it departed")
    table = share_flights(flights)
    for group in groups:
        expected = sum(kind == group for kind, _ in facts)
        wait(lambda group=group, expected=expected: counted(groups[group]) == expected)
    known = known_at_departure(table, groups)

    print(f"4. Training the built-in XGBoost on {len(known):,} flights as training job {name}")
    deploy(train(known))

    offline = {int(row["flight"]): inputs(row) for row in known if int(row["month"]) == SERVED}
    served = [flight for flight in flights if flight["flight"] in offline]
    print(f"5. Serving {len(served):,} flights of December with features from the online store")
    online = looked_up(served)
    answers = score(online)

    differ = sum(row != offline[flight["flight"]] for row, flight in zip(online, served, strict=True))
    past = [flight for flight in flights if flight["month"] in TRAINING]
    slope, intercept = linear_regression(
        [flight["distance_miles"] for flight in past], [flight["air_minutes"] for flight in past]
    )
    line = [slope * flight["distance_miles"] + intercept for flight in served]
    print(f"\n   flights whose features differ between the stores  {differ:5d} of {len(served):,}")
    print(f"   the endpoint's error                              {rmse(answers, served):5.1f} minutes (RMSE)")
    print(f"   baseline: a straight line over the distance       {rmse(line, served):5.1f} minutes")
    remove()
    if differ:
        raise SystemExit("the stores disagree")


def counted(group: dict) -> int:
    return int(query(f"SELECT count(*) AS n FROM {table_of(group)}")[0]["n"])


if __name__ == "__main__":
    main()
