-- Prints docs/manual/reference.md: all objects of the extension, with their comments. For psql -At, in a new database that
-- has the extension. `test/docs --update` writes the file, and `test/docs reference` compares it.
--
-- Every object whose users write its name must have a comment. Functions without a comment are internal: input and output of
-- types, functions behind casts, comparison operators and aggregates, support functions of operator classes.

\pset null ''
LOAD 'quiver';
SET search_path = public, pg_catalog;

-- A comment as a sentence. Comments begin with a small letter, or with a call, such as pq_train(v, subvectors).
CREATE FUNCTION pg_temp.sentence(comment text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN comment ~ '^[a-z_0-9]+(\(| times )' THEN regexp_replace(comment, '^([a-z_0-9]+(\([^)]*\))?)', '`\1`')
        ELSE upper(left(comment, 1)) || substr(comment, 2) END || '.' $$;
-- Code in a table: there, a vertical line would end the cell.
CREATE FUNCTION pg_temp.code(text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN $1 LIKE '%|%' THEN '<code>' || replace($1, '|', '&#124;') || '</code>' ELSE '`' || $1 || '`' END $$;

CREATE TEMP VIEW member AS SELECT classid, objid FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
    AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'quiver');

-- What a function returns: its columns, if it has some, each on a line of its own if they are many.
CREATE FUNCTION pg_temp.result(oid) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN columns IS NULL THEN ' -> ' || pg_get_function_result($1)
        WHEN length(columns) < 60 THEN format(' -> %s(%s)', setof, replace(columns, E'\n', ' '))
        ELSE format(E'\n    -> %s(\n        %s)', setof, replace(columns, E'\n', E'\n        ')) END
    FROM (SELECT CASE WHEN proretset THEN 'SETOF ' ELSE '' END AS setof,
            (SELECT string_agg(format('%s %s', proargnames[i], format_type(proallargtypes[i], NULL)), E',\n' ORDER BY i)
                FROM generate_subscripts(proargmodes, 1) i WHERE proargmodes[i] = 'o') AS columns FROM pg_proc WHERE oid = $1) x $$;
CREATE TEMP VIEW func AS SELECT p.oid, p.proname AS name, p.prokind AS kind, obj_description(p.oid, 'pg_proc') AS comment,
    format('%s(%s)%s', p.proname, replace(regexp_replace(pg_get_function_arguments(p.oid), '(^|, )OUT .*', ''), 'NULL::text', 'NULL'),
        pg_temp.result(p.oid)) AS signature,
    CASE WHEN pg_get_function_arguments(p.oid) LIKE '%internal%' OR p.proname = 'distance_threshold' THEN 'Functions for the planner'
        WHEN p.proname ~ '^(hnsw|ivfflat)_' OR p.proname = 'quiver_adopt' THEN 'Indexes'
        WHEN p.proname = 'rrf_score' THEN 'Hybrid search'
        WHEN p.prorettype = 'float8'::regtype AND p.pronargs = 2 THEN 'Distances'
        WHEN pg_get_function_identity_arguments(p.oid) || pg_get_function_result(p.oid) ~ 'quantize' THEN 'Quantizers and codes'
        WHEN p.prokind = 'a' THEN 'Aggregates of vectors'
        ELSE 'Functions of vectors' END AS chapter
    FROM member m JOIN pg_proc p ON p.oid = m.objid WHERE m.classid = 'pg_proc'::regclass;

-- What must have a comment, and has none, is an error.
DO $$
DECLARE missing text;
BEGIN
    SELECT string_agg(pg_describe_object(classid, objid, 0), ', ') INTO missing FROM member
        WHERE classid IN ('pg_type'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass, 'pg_am'::regclass)
            AND obj_description(objid, classid::regclass::name) IS NULL
            AND NOT (classid = 'pg_type'::regclass AND EXISTS (SELECT FROM pg_type WHERE pg_type.oid = objid AND typelem <> 0))
        OR classid = 'pg_proc'::regclass AND obj_description(objid, 'pg_proc') IS NULL
            AND (SELECT prokind FROM pg_proc WHERE pg_proc.oid = objid) = 'a';
    IF missing IS NOT NULL THEN
        RAISE 'no comment: %', missing;
    END IF;
END $$;

\qecho '# Reference'
\qecho
\qecho 'This page lists every type, operator, operator class, function, aggregate, cast and setting of quiver.'
\qecho
\qecho '> `test/docs --update` writes this page from the comments of the SQL objects. In psql, `\\dx+ quiver` lists the objects, and'
\qecho '> `\\df+`, `\\do+` and `\\dT+` show the same comments.'
\qecho
\qecho '## Types'
\qecho
\qecho '| type | |'
\qecho '|---|---|'
SELECT format('| %s | %s |', pg_temp.code(t.typname), pg_temp.sentence(obj_description(t.oid, 'pg_type')))
FROM member JOIN pg_type t ON t.oid = objid WHERE classid = 'pg_type'::regclass AND t.typelem = 0 ORDER BY t.oid;
\qecho
\qecho 'quiver also has distances and operator classes for PostgreSQL''s own type `bit`. [Types and operators](types.md) has examples.'
\qecho
\qecho '## Operators'
\qecho
\qecho '| operator | left | right | result | |'
\qecho '|---|---|---|---|---|'
SELECT format('| %s | %s | %s | %s | %s |', pg_temp.code(o.oprname), string_agg(format('`%s`', format_type(oprleft, NULL)), ', ' ORDER BY o.oid),
    CASE WHEN bool_and(oprleft = oprright) THEN 'the same' ELSE string_agg(DISTINCT format('`%s`', format_type(oprright, NULL)), ', ') END,
    string_agg(DISTINCT CASE WHEN oprresult = oprleft THEN 'the same' ELSE format('`%s`', format_type(oprresult, NULL)) END, ', '), pg_temp.sentence(obj_description(o.oid, 'pg_operator')))
FROM member JOIN pg_operator o ON o.oid = objid WHERE classid = 'pg_operator'::regclass
GROUP BY o.oprname, oprleft = oprright, obj_description(o.oid, 'pg_operator') ORDER BY min(oprcode::oid);
\qecho
\qecho '## Functions and aggregates'
\qecho
\qecho 'Functions without a comment are not listed: the input and output of types, and what implements casts, comparison operators,'
\qecho 'aggregates and operator classes. `SETOF` means that a function returns several rows.'

WITH chapters AS (SELECT *, dense_rank() OVER (ORDER BY array_position(ARRAY['Distances', 'Functions of vectors', 'Aggregates of vectors', 'Hybrid search',
        'Quantizers and codes', 'Indexes', 'Functions for the planner'], chapter)) AS chapter_number FROM func WHERE comment IS NOT NULL),
    comments AS (SELECT chapter_number, chapter, name, comment, min(oid) AS first, string_agg(signature, E'\n' ORDER BY oid) AS signatures
        FROM chapters GROUP BY 1, 2, 3, 4),
    names AS (SELECT chapter_number, chapter, name, min(first) AS first,
        string_agg(format(E'```text\n%s\n```\n\n%s', signatures, pg_temp.sentence(comment)), E'\n\n' ORDER BY first) AS body FROM comments GROUP BY 1, 2, 3)
SELECT format(E'\n### %s\n\n', chapter) || string_agg(format(E'#### %s\n\n%s', name, body), E'\n\n' ORDER BY first)
FROM names GROUP BY chapter_number, chapter ORDER BY chapter_number;
\qecho
\qecho '## Casts'
\qecho
\qecho 'PostgreSQL applies an implicit cast by itself, an assignment cast when a value is stored in a column, and an explicit cast only'
\qecho 'where the query has `CAST` or `::`. A cast from a type to itself checks the number of dimensions.'
\qecho
\qecho '| from | to | |'
\qecho '|---|---|---|'
SELECT format('| `%s` | `%s` | %s |', format_type(castsource, NULL), format_type(casttarget, NULL),
    CASE castcontext WHEN 'i' THEN 'implicit' WHEN 'a' THEN 'assignment' ELSE 'explicit' END)
FROM member JOIN pg_cast c ON c.oid = objid WHERE classid = 'pg_cast'::regclass ORDER BY c.oid;
\qecho
\qecho '## Access methods'
\qecho
\qecho '| access method | |'
\qecho '|---|---|'
SELECT format('| `%s` | %s |', amname, pg_temp.sentence(obj_description(a.oid, 'pg_am')))
FROM member JOIN pg_am a ON a.oid = objid WHERE classid = 'pg_am'::regclass ORDER BY amname;
\qecho
\qecho '[Indexing](indexing.md) explains the options of an index.'
\qecho
\qecho '## Operator classes'
\qecho
\qecho '| operator class | access method | type | operators | default | |'
\qecho '|---|---|---|---|---|---|'
SELECT format('| `%s` | `%s` | `%s` | %s | %s | %s |', opcname, amname, format_type(opcintype, NULL),
    (SELECT string_agg(pg_temp.code(oprname), ' ' ORDER BY amopstrategy) FROM pg_amop JOIN pg_operator o ON o.oid = amopopr WHERE amopfamily = opcfamily AND amoplefttype = amoprighttype AND oprname <> '<<='),
    CASE WHEN opcdefault THEN 'yes' ELSE 'no' END, pg_temp.sentence(obj_description(c.oid, 'pg_opclass')))
FROM member JOIN pg_opclass c ON c.oid = objid JOIN pg_am a ON a.oid = opcmethod WHERE classid = 'pg_opclass'::regclass ORDER BY amname COLLATE "C" DESC, c.oid;
\qecho
\qecho '## Settings'
\qecho
\qecho 'Any user can change these settings: with `SET` for a session, `SET LOCAL` for a transaction, `ALTER ROLE` or `ALTER DATABASE` for'
\qecho 'later sessions, or in `postgresql.conf`. `SHOW` and `pg_settings` know them once a session has loaded the library,'
\qecho 'which it does when it first uses a type or an index of quiver.'
\qecho
\qecho '| setting | default | values | |'
\qecho '|---|---|---|---|'
SELECT format('| `%s` | `%s` | %s | %s |', name, boot_val, CASE vartype WHEN 'enum' THEN '`' || array_to_string(enumvals, '`, `') || '`'
    WHEN 'bool' THEN '`on`, `off`' ELSE min_val || ' to ' || max_val END, concat_ws(' ', short_desc, extra_desc))
FROM pg_settings WHERE name ~ '^(hnsw|ivfflat|quiver)\.' ORDER BY name COLLATE "C";
\qecho
\qecho '---'
\qecho
\qecho 'See also: [Types and operators](types.md), [Indexing](indexing.md), [Querying](querying.md),'
\qecho '[Compressed vectors](compression.md), [Monitoring](monitoring.md).'
