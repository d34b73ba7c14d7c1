"""Engines, through a client."""


def test_there_is_one_engine(server):
    versions = server.client("athena").list_engine_versions()["EngineVersions"]
    assert {each["EffectiveEngineVersion"] for each in versions} == {"Athena engine version 3"}
