"""Functions as clients keep them: created, changed, shown, versions, aliases, layers, policies, deleted."""

import base64
import hashlib
import io
import json
import stat
import urllib.request
import zipfile
from collections import Counter
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.support.lambda_.tests.conftest import ROLE, Lambda, zipped
from clary.testing import eventually

WHICH = "import os\ndef handler(event, context): return [{!r}, context.function_version, os.environ.get('VV')]"


def refused(call: Any, **given: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as error:
        call(**given)
    found = error.value.response["Error"]
    return found["Code"], found["Message"]


def test_a_function_is_what_was_asked_for(functions: Lambda) -> None:
    client, code = functions.client, zipped(app=WHICH.format("one"))
    name = functions.create(
        Code={"ZipFile": code}, Description="d", Timeout=9, MemorySize=192, Tags={"a": "b"}, Handler="app.handler"
    )
    for waiter in ("function_active", "function_updated", "function_active_v2", "function_updated_v2"):
        client.get_waiter(waiter).wait(FunctionName=name)
    found = client.get_function(FunctionName=name)
    shown, arn = found["Configuration"], f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    assert (shown["FunctionArn"], shown["Timeout"], shown["MemorySize"], shown["Role"]) == (arn, 9, 192, ROLE)
    assert (shown["State"], shown["LastUpdateStatus"], shown["Version"]) == ("Active", "Successful", "$LATEST")
    assert shown["CodeSha256"] == base64.b64encode(hashlib.sha256(code).digest()).decode()
    assert shown["CodeSize"] == len(code)
    assert found["Tags"] == {"a": "b"}
    with urllib.request.urlopen(found["Code"]["Location"]) as body:
        assert body.read() == code
    other = client.update_function_configuration(FunctionName=arn, Timeout=10, Environment={"Variables": {"VV": "2"}})
    assert (other["Timeout"], other["MemorySize"], other["Environment"]) == (10, 192, {"Variables": {"VV": "2"}})
    assert other["RevisionId"] != shown["RevisionId"]
    assert functions.call(arn).value == ["one", "$LATEST", "2"]
    tried = client.update_function_code(FunctionName=name, ZipFile=zipped(app="x = 1"), DryRun=True)
    assert tried["CodeSha256"] != shown["CodeSha256"]
    assert functions.call(name).value[0] == "one"
    stale = {"FunctionName": name, "ZipFile": code, "RevisionId": shown["RevisionId"]}
    assert refused(client.update_function_code, **stale)[0] == "PreconditionFailedException"
    assert name in [
        one["FunctionName"] for page in client.get_paginator("list_functions").paginate() for one in page["Functions"]
    ]
    client.tag_resource(Resource=arn, Tags={"c": "d"})
    client.untag_resource(Resource=arn, TagKeys=["a"])
    assert client.list_tags(Resource=arn)["Tags"] == {"c": "d"}
    assert (
        refused(
            client.create_function,
            FunctionName=name,
            Runtime="python3.12",
            Handler="a.b",
            Role=ROLE,
            Code={"ZipFile": code},
        )[0]
        == "ResourceConflictException"
    )
    client.delete_function(FunctionName=name)
    assert refused(client.invoke, FunctionName=name)[0] == "ResourceNotFoundException"


def test_code_comes_from_s3_too_and_replaces_what_runs(functions: Lambda) -> None:
    s3, bucket = functions.server.client("s3"), functions.unique("code")
    s3.create_bucket(Bucket=bucket)
    for key in ("one", "two"):
        s3.put_object(Bucket=bucket, Key=key, Body=zipped(app=WHICH.format(key), pkg____init__="", pkg__inner="x = 1"))
    name = functions.create(Code={"S3Bucket": bucket, "S3Key": "one"})
    assert functions.call(name).value[0] == "one"
    functions.client.update_function_code(FunctionName=name, S3Bucket=bucket, S3Key="two")
    assert functions.call(name).value[0] == "two"
    given = {"Runtime": "python3.12", "Handler": "a.b", "Role": ROLE, "FunctionName": "n"}
    code, message = refused(functions.client.create_function, **given, Code={"S3Bucket": bucket, "S3Key": "gone"})
    assert (code, "NoSuchKey" in message or "404" in message) == ("InvalidParameterValueException", True)


def archive(*members: tuple[zipfile.ZipInfo, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for info, data in members:
            made.writestr(info, data, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def link(name: str, target: str) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info, target.encode()


def test_what_cannot_be_a_function_is_refused_with_the_reason(functions: Lambda) -> None:
    given = {
        "FunctionName": "n",
        "Runtime": "python3.12",
        "Handler": "a.b",
        "Role": ROLE,
        "Code": {"ZipFile": zipped(a="")},
    }
    outside = archive((zipfile.ZipInfo("../out.py"), b""))
    huge = archive(*((zipfile.ZipInfo(f"{number}"), b"\0" * (64 << 20)) for number in range(4)))
    for changed, word in [
        ({"Runtime": "nodejs22.x"}, "nodejs22.x"),
        ({"PackageType": "Image", "Code": {"ImageUri": "1.dkr.ecr.us-east-1.amazonaws.com/x:1"}}, "Image"),
        ({"Code": {"ZipFile": b"no zip"}}, "unzip"),
        ({"Code": {"ZipFile": outside}}, "outside"),
        ({"Code": {"ZipFile": huge}}, "262144000"),
        ({"Code": {}}, "ZipFile"),
        ({"Timeout": 901}, "900"),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "AWS_REGION"),
        ({"Environment": {"Variables": {"A1": "x" * 5000}}}, "4KB"),
        ({"Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:gone:1"]}, "does not exist"),
        ({"VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}}, "VpcConfig"),
        ({"TracingConfig": {"Mode": "Active"}}, "X-Ray"),
        ({"DeadLetterConfig": {"TargetArn": "arn:aws:s3:::b"}}, "SQS"),
        ({"FunctionName": "x" * 65}, "64"),
    ]:
        code, message = refused(functions.client.create_function, **{**given, **changed})
        assert code == "InvalidParameterValueException", message
        assert word in message


def test_a_link_that_leads_out_of_a_zip_is_not_followed(functions: Lambda) -> None:
    code = archive(
        (zipfile.ZipInfo("app.py"), b"import inner\ndef handler(e, c): return inner.x"),
        (zipfile.ZipInfo("real.py"), b"x = 'linked'"),
        link("inner.py", "real.py"),
    )
    assert functions.call(functions.create(Code={"ZipFile": code})).value == "linked"
    evil = archive((zipfile.ZipInfo("app.py"), b""), link("etc", "../../../../etc"))
    name = functions.create(Code={"ZipFile": evil})
    code_, message = refused(functions.client.invoke, FunctionName=name)
    assert code_ == "InvalidRuntimeException"
    assert "etc" in message


def test_versions_stay_as_they_were_and_aliases_lead_to_them(functions: Lambda) -> None:
    client = functions.client
    name = functions.create(Code={"ZipFile": zipped(app=WHICH.format("one"))}, Publish=True)
    assert client.publish_version(FunctionName=name)["Version"] == "1"  # nothing has changed since
    client.update_function_code(FunctionName=name, ZipFile=zipped(app=WHICH.format("two")))
    published = client.publish_version(FunctionName=name, Description="second")
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    assert (published["Version"], published["FunctionArn"], published["Description"]) == ("2", f"{arn}:2", "second")
    client.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="2")
    listed = client.list_versions_by_function(FunctionName=name)["Versions"]
    assert [one["Version"] for one in listed] == ["$LATEST", "1", "2"]
    assert functions.call(name, Qualifier="1").value[:2] == ["one", "1"]
    assert functions.call(f"{arn}:2").value[:2] == ["two", "2"]

    made = client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    assert made["AliasArn"] == f"{arn}:live"
    assert functions.call(f"{name}:live").version == "1"
    assert functions.call(name, {"do": "context"}, Qualifier="live").version == "1"
    client.update_alias(FunctionName=name, Name="live", RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}})
    shares = Counter(functions.call(name, Qualifier="live").version for _ in range(60))
    assert min(shares["1"], shares["2"]) > 10
    assert refused(client.delete_function, FunctionName=name, Qualifier="2")[0] == "ResourceConflictException"
    client.update_alias(FunctionName=name, Name="live", FunctionVersion="2", RoutingConfig={})
    assert functions.call(name, Qualifier="live").version == "2"
    assert [one["Name"] for one in client.list_aliases(FunctionName=name)["Aliases"]] == ["live"]
    client.delete_function(FunctionName=name, Qualifier="1")
    assert refused(client.invoke, FunctionName=name, Qualifier="1")[0] == "ResourceNotFoundException"
    client.delete_alias(FunctionName=name, Name="live")
    assert refused(client.get_alias, FunctionName=name, Name="live")[0] == "ResourceNotFoundException"


def test_layers_are_on_the_path_and_the_functions_own_modules_go_first(functions: Lambda) -> None:
    client, layer = functions.client, functions.unique("layer")
    body = "import os, shared, own\ndef handler(e, c): return [shared.x, own.x, os.path.exists('/opt/data.txt')]"
    one = archive(
        (zipfile.ZipInfo("python/shared.py"), b"x = 'layer'"),
        (zipfile.ZipInfo("python/own.py"), b"x = 'layer'"),
        (zipfile.ZipInfo("data.txt"), b"1"),
    )
    made = client.publish_layer_version(LayerName=layer, Content={"ZipFile": one}, CompatibleRuntimes=["python3.12"])
    assert made["Version"] == 1
    arn = made["LayerVersionArn"]
    name = functions.create(Code={"ZipFile": zipped(app=body, own="x = 'own'")}, Layers=[arn])
    assert functions.call(name).value == ["layer", "own", True]
    assert client.get_function_configuration(FunctionName=name)["Layers"][0]["Arn"] == arn
    assert [one["Version"] for one in client.list_layer_versions(LayerName=layer)["LayerVersions"]] == [1]
    assert layer in [one["LayerName"] for one in client.list_layers(CompatibleRuntime="python3.12")["Layers"]]
    assert client.get_layer_version_by_arn(Arn=arn)["Content"]["CodeSize"] == len(one)
    client.delete_layer_version(LayerName=layer, VersionNumber=1)
    assert refused(client.get_layer_version, LayerName=layer, VersionNumber=1)[0] == "ResourceNotFoundException"
    client.update_function_configuration(FunctionName=name, Environment={"Variables": {"A1": "1"}})
    assert functions.call(name).value == ["layer", "own", True]
    assert client.publish_layer_version(LayerName=layer, Content={"ZipFile": one})["Version"] == 2


def test_concurrency_is_set_aside_and_bounded(functions: Lambda) -> None:
    client, name = functions.client, functions.create()
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert refused(client.invoke, FunctionName=name)[0] == "TooManyRequestsException"
    assert client.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 0
    client.delete_function_concurrency(FunctionName=name)
    assert functions.call(name).error is None
    too_many = {"FunctionName": name, "ReservedConcurrentExecutions": 901}
    assert refused(client.put_function_concurrency, **too_many)[0] == "InvalidParameterValueException"
    assert client.get_account_settings()["AccountLimit"]["ConcurrentExecutions"] == 1000


@pytest.mark.slow
def test_provisioned_instances_are_there_before_anybody_calls(functions: Lambda) -> None:
    client, name = functions.client, functions.create(Publish=True)
    asked = {"FunctionName": name, "Qualifier": "1"}
    assert (
        refused(client.get_provisioned_concurrency_config, **asked)[0]
        == "ProvisionedConcurrencyConfigNotFoundException"
    )
    client.put_provisioned_concurrency_config(**asked, ProvisionedConcurrentExecutions=2)

    def ready() -> bool:
        found = client.get_provisioned_concurrency_config(**asked)
        return (found["Status"], found["AvailableProvisionedConcurrentExecutions"]) == ("READY", 2)

    eventually(ready)
    answer = functions.call(name, {"do": "environ"}, Qualifier="1")
    assert answer.value["AWS_LAMBDA_INITIALIZATION_TYPE"] == "provisioned-concurrency"
    client.delete_provisioned_concurrency_config(**asked)


def test_policies_are_kept_statement_by_statement(functions: Lambda) -> None:
    client, name = functions.client, functions.create()
    given = {
        "FunctionName": name,
        "StatementId": "s1",
        "Action": "lambda:InvokeFunction",
        "Principal": "s3.amazonaws.com",
    }
    added = client.add_permission(**given, SourceArn="arn:aws:s3:::b", SourceAccount="111122223333")
    statement = json.loads(added["Statement"])
    assert statement["Principal"] == {"Service": "s3.amazonaws.com"}
    assert statement["Condition"]["ArnLike"] == {"AWS:SourceArn": "arn:aws:s3:::b"}
    assert refused(client.add_permission, **given)[0] == "ResourceConflictException"
    assert [one["Sid"] for one in json.loads(client.get_policy(FunctionName=name)["Policy"])["Statement"]] == ["s1"]
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    stranger = functions.server.client("lambda", aws_access_key_id="111122223333", aws_secret_access_key="test")
    assert refused(stranger.invoke, FunctionName=arn)[0] == "AccessDeniedException"
    let = {"FunctionName": name, "StatementId": "s2", "Action": "lambda:InvokeFunction", "Principal": "111122223333"}
    client.add_permission(**let)
    assert json.loads(stranger.invoke(FunctionName=arn)["Payload"].read()) == {"echo": {}}
    client.remove_permission(FunctionName=name, StatementId="s2")
    assert refused(stranger.invoke, FunctionName=arn)[0] == "AccessDeniedException"
    client.remove_permission(FunctionName=name, StatementId="s1")
    assert refused(client.get_policy, FunctionName=name)[0] == "ResourceNotFoundException"
