-- SQLite's json_each for arrays, so that both databases take the same SQL text. A set of rows is one parameter, an array
-- of arrays; `value ->> 0` is the first field of a row.
CREATE FUNCTION {ns}json_each(document TEXT) RETURNS TABLE (key BIGINT, value JSONB)
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE ROWS 20
AS $$ SELECT ordinality - 1, element FROM jsonb_array_elements(document::jsonb) WITH ORDINALITY AS a (element, ordinality) $$;
