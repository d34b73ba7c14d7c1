{{ config(partitioned_by=["year"], format="orc") }}
select code, name, year(since) as year from {{ ref("named") }}
