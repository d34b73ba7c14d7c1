{{ config(materialized="view") }}
select code, upper(name) as name, since from {{ ref("carriers") }}
