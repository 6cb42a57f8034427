-- SQLite's json_each for arrays, so that one SQL text does for both: a set of rows is one parameter, an array of arrays,
-- and `value ->> 0` is the first field of a row.
CREATE FUNCTION {ns}json_each(document TEXT) RETURNS TABLE (key BIGINT, value JSONB)
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE ROWS 20
AS $$ SELECT ordinality - 1, element FROM jsonb_array_elements(document::jsonb) WITH ORDINALITY AS a (element, ordinality) $$;
