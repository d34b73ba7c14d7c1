"""The pipeline language, 2020-12-01: definitions, values, conditions, the cache's keys, and what may run when.

Pure: no platform, no clock, no files. What an engine uses, in its order:

    definition = parse(text, {name: STEP_TYPES[name] for name in DRIVEN})     parsing.py; DefinitionError says where
    values = effective(definition, given)                                     parameters.py; ParameterError
    selection = select(definition, names)                                     selection.py; SelectionError
    plan(definition, states, parallelism, ...) -> Plan                        scheduling.py
    resolved_arguments(step, scope), resolved_siblings(step, scope)           values.py; Unresolvable fails the step
    cache_key(step, arguments, siblings), fresh(policy, ended_at, now)        caching.py
    holds(step.arguments["Conditions"], scope)                                conditions.py; Unresolvable fails the step
    wait_before_retry(...)                                                    retries.py
"""
