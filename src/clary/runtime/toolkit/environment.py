"""The SM_* environment that script-mode code reads, as the public toolkit's ENVIRONMENT_VARIABLES document lists it."""

import json
import os
from pathlib import Path
from typing import Any

from clary.runtime.paths import MlPaths
from clary.runtime.threads import num_cpus, num_gpus
from clary.runtime.toolkit.description import JobDescription, decode

FRAMEWORK_MODULE = "clary.runtime.toolkit.train:train"
INFO = 20


def user_arguments(hyperparameters: dict[str, Any]) -> list[str]:
    """The script's argv: `--key value` by key, `-k value` for one letter; strings bare, lists and objects as JSON.

    Booleans and null read as Python writes them (True, False, None), which is what scripts for AWS expect.
    """
    arguments = []
    for name in sorted(hyperparameters):
        value = hyperparameters[name]
        arguments.append(f"-{name}" if len(name) == 1 else f"--{name}")
        arguments.append(json.dumps(value) if isinstance(value, list | dict) else str(value))
    return arguments


def training_environment(paths: MlPaths, job: JobDescription, program: str, module_dir: str) -> dict[str, str]:
    """Everything named SM_* for a script-mode job. Values that are not strings are JSON."""
    facts = _facts(paths, job, program, module_dir)
    values: dict[str, Any] = {
        "MODEL_DIR": facts["model_dir"],
        "CHANNELS": sorted(job.channels),
        "HPS": facts["hyperparameters"],
        "CURRENT_HOST": job.current_host,
        "HOSTS": job.hosts,
        "NUM_GPUS": facts["num_gpus"],
        "NUM_CPUS": facts["num_cpus"],
        "NUM_NEURONS": 0,
        "LOG_LEVEL": facts["log_level"],
        "NETWORK_INTERFACE_NAME": facts["network_interface_name"],
        "USER_ARGS": user_arguments(job.user_hyperparameters),
        "INPUT_DIR": facts["input_dir"],
        "INPUT_CONFIG_DIR": facts["input_config_dir"],
        "OUTPUT_DIR": facts["output_dir"],
        "OUTPUT_DATA_DIR": facts["output_data_dir"],
        "OUTPUT_INTERMEDIATE_DIR": facts["output_intermediate_dir"],
        "RESOURCE_CONFIG": job.resource,
        "INPUT_DATA_CONFIG": job.channels,
        "MODULE_NAME": facts["module_name"],
        "MODULE_DIR": facts["module_dir"],
        "FRAMEWORK_MODULE": facts["framework_module"],
        "FRAMEWORK_PARAMS": job.framework_parameters,
        "USER_ENTRY_POINT": program,
        "CURRENT_INSTANCE_TYPE": facts["current_instance_type"],
        "CURRENT_INSTANCE_GROUP": facts["current_instance_group"],
        "CURRENT_INSTANCE_GROUP_HOSTS": facts["current_instance_group_hosts"],
        "INSTANCE_GROUPS": facts["instance_groups"],
        "INSTANCE_GROUPS_DICT": facts["instance_groups_dict"],
        "DISTRIBUTION_INSTANCE_GROUPS": [],
        "IS_HETERO": facts["is_hetero"],
        "MASTER_ADDR": job.hosts[0],
        "TRAINING_ENV": facts,
    }
    for channel in job.channels:
        values |= _both_spellings("CHANNEL", channel, str(paths.channel(channel)))
    for name, value in job.user_hyperparameters.items():
        values |= _both_spellings("HP", name, value)
    return {
        f"SM_{name}": value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        for name, value in values.items()
    }


def _both_spellings(family: str, name: str, value: Any) -> dict[str, Any]:
    """The documented name keeps dashes, which shells cannot read; so give it with underscores too."""
    documented = f"{family}_{name.upper()}"
    return {documented: value, documented.replace("-", "_"): value}


def _facts(paths: MlPaths, job: JobDescription, program: str, module_dir: str) -> dict[str, Any]:
    """What SM_TRAINING_ENV tells in one JSON object."""
    groups = {group["instance_group_name"]: group for group in job.resource.get("instance_groups", [])}
    group = str(job.resource.get("current_group_name", "homogeneousCluster"))
    output_data = paths.output_data if len(job.hosts) == 1 else paths.output_data / job.current_host
    log_level = job.hyperparameters.get("sagemaker_container_log_level", str(INFO))
    return {
        "additional_framework_parameters": job.framework_parameters,
        "channel_input_dirs": {channel: str(paths.channel(channel)) for channel in job.channels},
        "current_host": job.current_host,
        "current_instance_group": group,
        "current_instance_group_hosts": groups.get(group, {}).get("hosts", job.hosts),
        "current_instance_type": str(job.resource.get("current_instance_type", "local")),
        "framework_module": FRAMEWORK_MODULE,
        "hosts": job.hosts,
        "hyperparameters": job.user_hyperparameters,
        "input_config_dir": str(paths.config),
        "input_data_config": job.channels,
        "input_dir": str(paths.input),
        "instance_groups": sorted(groups),
        "instance_groups_dict": groups,
        "is_hetero": len(groups) > 1,
        "is_master": job.is_master,
        "job_name": os.environ.get("TRAINING_JOB_NAME") or job.setting("sagemaker_job_name") or "",
        "log_level": decode(log_level),
        "master_hostname": job.hosts[0],
        "model_dir": str(paths.model),
        "module_dir": module_dir,
        "module_name": Path(program).stem if program.endswith(".py") else program,
        "network_interface_name": str(job.resource.get("network_interface_name", "eth0")),
        "num_cpus": num_cpus(),
        "num_gpus": num_gpus(),
        "output_data_dir": str(output_data),
        "output_dir": str(paths.output),
        "output_intermediate_dir": str(paths.output_intermediate),
        "resource_config": job.resource,
        "user_entry_point": program,
    }
