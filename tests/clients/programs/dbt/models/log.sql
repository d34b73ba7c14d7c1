{{ config(materialized="incremental", incremental_strategy="append") }}
select code, {{ var("run", 1) }} as run from {{ ref("carriers") }}
