-- tables.residue.strip_residue as a SQL macro that exports use. The patterns are variables (tables.residue.LEADING, TRAILING).
CREATE MACRO strip_residue(text) AS regexp_replace(
    regexp_replace(text, getvariable('leading_residue'), ''),
    getvariable('trailing_residue'),
    ''
)
