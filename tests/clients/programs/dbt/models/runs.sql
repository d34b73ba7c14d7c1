{{ config(materialized="incremental", incremental_strategy="insert_overwrite", partitioned_by=["day"]) }}
select code, {{ var("run", 1) }} as run, date_format(since, '%Y-%m') as day from {{ ref("carriers") }}
{% if is_incremental() %} where code <> 'DL' {% endif %}
