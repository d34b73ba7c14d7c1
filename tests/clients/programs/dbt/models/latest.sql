{{ config(materialized="incremental", table_type="iceberg", incremental_strategy="merge", unique_key="code") }}
select code, {{ var("run", 1) }} as run from {{ ref("carriers") }}
{% if is_incremental() %} where code = 'UA' union all select 'NK', 2 {% endif %}
