-- Filter columns: the columns of an index after the vector. Conditions on them are index conditions, and a query has the
-- same rows as without the index.
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN rating AS integer CHECK (VALUE >= 0);
CREATE DOMAIN labels AS text[];
CREATE FUNCTION vector_of(i integer) RETURNS vector LANGUAGE sql IMMUTABLE AS
    $$ SELECT ARRAY[i * 7 % 31, i * 5 % 37, i * 3 % 41]::vector $$;
-- The value of every seventh row is NULL. Each column has few values, or extreme ones, too.
CREATE TABLE numbers (id integer PRIMARY KEY, v vector(3), i2 smallint, i4 integer, i8 bigint, f4 real, f8 float8, n numeric, b boolean, r rating);
INSERT INTO numbers SELECT i, vector_of(i), i % 100, i % 10, (i - 500) * 10000000000, i % 50 / 10.0, i % 200 / 7.0, i % 300 / 7.0, i % 3 = 0, i % 5
    FROM generate_series(1, 1000) i;
UPDATE numbers SET i2 = NULL, i4 = NULL, i8 = NULL, f4 = NULL, f8 = NULL, n = NULL, b = NULL, r = NULL WHERE id % 7 = 0;
UPDATE numbers SET i2 = 32767, i4 = 2147483647, i8 = 9223372036854775807, f4 = 'NaN', f8 = 'NaN', n = 'NaN' WHERE id % 100 = 1;
UPDATE numbers SET i2 = -32768, i4 = -2147483648, i8 = -9223372036854775808, f4 = '-Infinity', f8 = '-Infinity', n = -1e400 WHERE id % 100 = 2;
UPDATE numbers SET f4 = 'Infinity', f8 = 'Infinity', n = 1e400 WHERE id % 100 = 3;
UPDATE numbers SET f4 = '-0', f8 = '-0', n = 0 WHERE id % 100 = 4;
UPDATE numbers SET f4 = '0', f8 = '0', n = 0.00, i8 = 0 WHERE id % 100 = 5;
UPDATE numbers SET n = 1 + 1e-30 WHERE id % 100 = 6;
UPDATE numbers SET n = 1 + 2e-30, f4 = 0.1, f8 = 0.1 WHERE id % 100 = 8;
CREATE INDEX numbers_v ON numbers USING hnsw (v vector_l2_ops, i2, i4, i8, f4, f8, n, b, r);
CREATE TABLE others (id integer PRIMARY KEY, v vector(3), t text, vc varchar(20), c char(4), u uuid, d date, ts timestamp, tz timestamptz, m mood);
INSERT INTO others SELECT i, vector_of(i), 'text ' || i % 20, 'x' || i % 200, 'c' || i % 30, md5((i % 50)::text)::uuid, '2024-01-01'::date + i % 400,
    '2024-01-01'::timestamp + i * interval '7 hours', '2024-01-01'::timestamptz + i * interval '7 hours', (ARRAY['sad', 'ok', 'happy'])[1 + i % 3]::mood
    FROM generate_series(1, 1000) i;
UPDATE others SET t = NULL, vc = NULL, c = NULL, u = NULL, d = NULL, ts = NULL, tz = NULL, m = NULL WHERE id % 7 = 0;
UPDATE others SET t = '', vc = '', c = '', d = 'infinity', ts = 'infinity', tz = 'infinity' WHERE id % 100 = 1;
UPDATE others SET t = repeat('long ', 1000), d = '-infinity', ts = '-infinity', tz = '-infinity' WHERE id % 100 = 2;
UPDATE others SET t = repeat(md5(id::text), 500), d = '5874897-12-31', ts = '294276-12-31 23:59:59', tz = '294276-12-30 23:59:59+00' WHERE id % 100 = 3;
UPDATE others SET d = '4713-01-01 BC', ts = '4713-01-01 BC', tz = '4713-01-02 BC' WHERE id % 100 = 4;
UPDATE others SET ts = d, tz = d WHERE id % 10 = 5;
CREATE INDEX others_v ON others USING hnsw (v vector_l2_ops, t, vc, c, u, d, ts, tz, m);
CREATE TABLE sets (id integer PRIMARY KEY, v vector(3), i4 integer[], i8 bigint[], t text[], u uuid[], l labels);
INSERT INTO sets SELECT i, vector_of(i), ARRAY[i % 5, i % 17, i % 40], ARRAY[i % 3, i]::bigint[], ARRAY['tag ' || i % 12, 'tag ' || i % 13],
    ARRAY[md5((i % 20)::text)::uuid], ARRAY['l' || i % 6] FROM generate_series(1, 1000) i;
UPDATE sets SET i4 = NULL, i8 = NULL, t = NULL, u = NULL, l = NULL WHERE id % 7 = 0;
UPDATE sets SET i4 = '{}', i8 = '{}', t = '{}', u = '{}', l = '{}' WHERE id % 20 = 1;
UPDATE sets SET i4 = i4 || NULL, i8 = '{NULL}', t = '{{a,b},{c,NULL}}', u = u || NULL, l = l || NULL WHERE id % 20 = 2;
UPDATE sets SET i4 = (SELECT array_agg(i) FROM generate_series(1, 5000) i) WHERE id = 23;
CREATE INDEX sets_v ON sets USING hnsw (v vector_l2_ops, i4, i8, t, u, l);
VACUUM ANALYZE numbers, others, sets;
SET enable_seqscan = off;
SET hnsw.iterative_scan = relaxed_order;

-- Runs a query with each condition, with and without the index: how many rows it has, whether it is an index condition as a
-- whole, and whether both find the same rows.
CREATE FUNCTION try(from_table text, conditions text[]) RETURNS TABLE (condition text, rows bigint, indexed boolean, same boolean)
LANGUAGE plpgsql AS $$
DECLARE
    query text;
    line text;
    got integer[];
    wanted integer[];
BEGIN
    FOREACH condition IN ARRAY conditions LOOP
        query := format('SELECT id FROM %s WHERE %s ORDER BY v <-> ''[10,20,30]'' LIMIT 100000', from_table, condition);
        indexed := false;
        FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
            indexed := indexed OR line LIKE '%Index Cond%';
            indexed := indexed AND line NOT LIKE '%Filter: %';
        END LOOP;
        EXECUTE 'SELECT array_agg(id ORDER BY id) FROM (' || query || ') x' INTO got;
        SET LOCAL enable_indexscan = off;
        SET LOCAL enable_seqscan = on;
        EXECUTE 'SELECT array_agg(id ORDER BY id) FROM (' || query || ') x' INTO wanted;
        SET LOCAL enable_indexscan = on;
        SET LOCAL enable_seqscan = off;
        rows := coalesce(array_length(wanted, 1), 0);
        same := got IS NOT DISTINCT FROM wanted;
        RETURN NEXT;
    END LOOP;
END $$;
-- The same for each operator and each of some values.
CREATE FUNCTION try_all(from_table text, column_name text, type text, operators text[], vals text[]) RETURNS TABLE (conditions bigint, indexed bigint, same bigint, rows numeric)
LANGUAGE sql AS $$
    SELECT count(*), count(*) FILTER (WHERE indexed), count(*) FILTER (WHERE same), sum(rows)
    FROM unnest(operators) o, unnest(vals) x, try(from_table, ARRAY[format('%s %s %L::%s', column_name, o, x, type)]) $$;

-- each type and operator
\set orders '''{<,<=,=,>=,>}'''
SELECT * FROM try_all('numbers', 'i2', 'smallint', :orders, '{0,50,-32768,32767,NULL}');
SELECT * FROM try_all('numbers', 'i2', 'integer', :orders, '{0,50,-2147483648,2147483647}');
SELECT * FROM try_all('numbers', 'i2', 'bigint', :orders, '{0,50,-9223372036854775808,9223372036854775807}');
SELECT * FROM try_all('numbers', 'i4', 'smallint', :orders, '{0,5,-32768,32767}');
SELECT * FROM try_all('numbers', 'i4', 'integer', :orders, '{0,5,-2147483648,2147483647,NULL}');
SELECT * FROM try_all('numbers', 'i4', 'bigint', :orders, '{0,5,-9223372036854775808,9223372036854775807}');
SELECT * FROM try_all('numbers', 'i8', 'smallint', :orders, '{0,-32768,32767}');
SELECT * FROM try_all('numbers', 'i8', 'integer', :orders, '{0,-2147483648,2147483647}');
SELECT * FROM try_all('numbers', 'i8', 'bigint', :orders, '{0,10000000000,-9223372036854775808,9223372036854775807,NULL}');
SELECT * FROM try_all('numbers', 'f4', 'real', :orders, '{0,-0,0.1,1.5,NaN,Infinity,-Infinity,NULL}');
SELECT * FROM try_all('numbers', 'f4', 'float8', :orders, '{0,-0,0.1,1.5,NaN,Infinity,-Infinity,1e300}');
SELECT * FROM try_all('numbers', 'f8', 'real', :orders, '{0,-0,0.1,1.5,NaN,Infinity,-Infinity}');
SELECT * FROM try_all('numbers', 'f8', 'float8', :orders, '{0,-0,0.1,1,NaN,Infinity,-Infinity,1e300,NULL}');
SELECT * FROM try_all('numbers', 'n', 'numeric', :orders, '{0,1,1.000000000000000000000000000001,1.0000000000000000000000000000015,NaN,1e400,-1e400,1e401,NULL}');
SELECT * FROM try_all('numbers', 'r', 'integer', :orders, '{0,3,NULL}');
SELECT * FROM try_all('numbers', 'b', 'boolean', :orders, '{false,true,NULL}');
SELECT * FROM try('numbers', '{b,NOT b,b IS TRUE,b IS FALSE,NOT b AND i4 IN (3) AND r > 1}');
SELECT condition, rows, same FROM try('numbers', '{b IS NOT TRUE,b IS NOT FALSE,b IS UNKNOWN,b IS NOT UNKNOWN}');
SELECT * FROM try_all('others', 't', 'text', :orders, '{text 5,text 99,"",NULL}');
SELECT * FROM try_all('others', 'vc', 'text', :orders, '{x5,x999,"",NULL}');
SELECT * FROM try_all('others', 'c', 'bpchar', :orders, '{c5,"c5  ",c999,"",NULL}');
SELECT * FROM try_all('others', 'u', 'uuid', :orders, '{c4ca4238-a0b9-2382-0dcc-509a6f75849b,c4ca4238-a0b9-2382-0000-000000000000,NULL}');
SELECT * FROM try_all('others', 'd', 'date', :orders, '{2024-05-05,infinity,-infinity,5874897-12-31,NULL}');
SELECT * FROM try_all('others', 'd', 'timestamp', :orders, '{2024-05-05,2024-05-05 12:00,infinity,-infinity,294276-12-31 12:00,1999-12-31 12:00}');
SELECT * FROM try_all('others', 'ts', 'timestamp', :orders, '{2024-01-02 04:00,2024-05-05,infinity,-infinity,NULL}');
SELECT * FROM try_all('others', 'ts', 'date', :orders, '{2024-01-06,2024-05-05,infinity,-infinity,5874897-12-31,4713-01-01 BC}');
SELECT * FROM try_all('others', 'tz', 'timestamptz', :orders, '{2024-01-02 04:00,2024-05-05,infinity,-infinity,NULL}');
SELECT * FROM try_all('others', 'tz', 'date', :orders, '{2024-01-06,2024-05-05,infinity,-infinity,5874897-12-31,294276-12-31,4713-01-01 BC}');
SELECT * FROM try_all('others', 'tz', 'timestamp', :orders, '{2024-01-02 04:00,2024-03-10 02:30,2024-05-05,infinity,-infinity,294276-12-31 23:00,4713-01-01 BC}');
SELECT * FROM try_all('others', 'm', 'mood', :orders, '{sad,ok,happy,NULL}');
SELECT * FROM try_all('sets', 'i4', 'integer[]', '{&&,@>,<@}', '{"{3}","{3,5}","{1,2,3,4,5,6,7,8,9,10}","{}","{NULL}","{3,NULL}","{99999}",NULL}');
SELECT * FROM try_all('sets', 'i8', 'bigint[]', '{&&,@>,<@}', '{"{1}","{1,500}","{0,1,2,3}","{}","{NULL}",NULL}');
SELECT * FROM try_all('sets', 't', 'text[]', '{&&,@>,<@}', '{"{tag 1}","{tag 1,tag 2}","{a}","{a,b,c}","{{tag 1},{tag 2}}","{}",NULL}');
SELECT * FROM try_all('sets', 'u', 'uuid[]', '{&&,@>,<@}', '{"{c4ca4238-a0b9-2382-0dcc-509a6f75849b}","{}",NULL}');
SELECT * FROM try_all('sets', 'l', 'text[]', '{&&,@>,<@}', '{"{l1}","{l1,l2}","{}",NULL}');

-- lists, NULL, and several conditions
SELECT * FROM try('numbers', '{"i4 IN (1, 3, 5)","i4 = ANY (ARRAY[1, NULL, 7])","i4 = ANY (ARRAY[1, 3]::bigint[])","i4 < ANY (ARRAY[1, 3])","i4 >= ANY (ARRAY[8, 9])","i4 IS NULL","i4 IS NOT NULL","i4 IN (1, 3) AND f8 < 5 AND i4 IS NOT NULL",
    "i2 BETWEEN 10 AND 20","i2 > 20 AND i2 < 10","i4 = 3 AND n > 5 AND v IS NOT NULL","i4 = 3 AND v <-> ''[10,20,30]'' < 20","f8 IN (0, ''NaN'')","r IN (1, 2)"}');
SELECT condition, rows, same FROM try('numbers', '{"i4 = ANY (''{}'')","i4 = ANY (NULL::integer[])","i4 = ANY (ARRAY[NULL]::integer[])","i4 = ALL (ARRAY[3, 3])","i4 = 1 AND i4 = 2"}');
SELECT rows, indexed, same FROM try('numbers', ARRAY['i8 IN (' || (SELECT string_agg((i * 10000000000)::text, ',') FROM generate_series(-2000, 2000, 4) i) || ')']);
SELECT * FROM try('others', '{"t IN (''text 1'', ''text 2'')","vc IN (''x1'', ''x2'')","c IN (''c1'', ''c2   '')","m IN (''sad'', ''happy'')","u IS NULL","d IN (''2024-05-05'', ''infinity'')",
    "tz >= ''2024-05-01'' AND tz < ''2024-06-01'' AND t = ''text 5''"}');
SELECT condition, rows, same FROM try('others', '{"t LIKE ''text 5''","t LIKE ''text 1%''","c LIKE ''c1%''","tz > ''2024-05-05''::date AND d < now()"}');
SELECT * FROM try('sets', '{"i4 && ''{3}'' AND t @> ''{tag 1}''","i4 IS NULL","i4 IS NOT NULL","i4 @> ''{3}'' AND i4 <@ ''{1,2,3,4,5,6,7,8,9,3,33,38}''"}');
-- not, or not always, an index condition: OR, other operators, expressions
SELECT condition, rows, same FROM try('numbers', '{"i4 <> 3","i4 + 0 = 3","i4 = 3 OR f8 < 2","NOT i4 = 3","i4 = id % 10","i4 = 3.0"}');
-- rows without a vector are not in the index
SELECT condition, rows, same FROM try('numbers', '{v IS NULL,v IS NULL AND i4 = 3}');

-- plans
EXPLAIN (COSTS OFF) SELECT id FROM numbers WHERE i4 = 3 AND f8 < 5 ORDER BY v <-> '[10,20,30]' LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM numbers WHERE i4 IN (3, 5) AND i2 IS NULL ORDER BY v <-> '[10,20,30]' LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM sets WHERE i4 && '{3}' ORDER BY v <-> '[10,20,30]' LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM numbers WHERE i4 = 3 AND v <-> '[10,20,30]' < 20 ORDER BY v <-> '[10,20,30]' LIMIT 5;
-- a range scan has filters, too
SET hnsw.range_scan = on;
EXPLAIN (COSTS OFF) SELECT id FROM numbers WHERE 3 = i4 AND i2 > 5 AND f8 IS NOT NULL AND v <-> '[10,20,30]' < 20;
SELECT count(*) FROM numbers WHERE 3 = i4 AND i2 > 5 AND f8 IS NOT NULL AND v <-> '[10,20,30]' < 20;
SET hnsw.range_scan = off;
SELECT count(*) FROM numbers WHERE 3 = i4 AND i2 > 5 AND f8 IS NOT NULL AND v <-> '[10,20,30]' < 20;
-- without the order of a distance, the index is of no use
RESET enable_seqscan;
EXPLAIN (COSTS OFF) SELECT id FROM numbers WHERE i4 = 3;
SET enable_seqscan = off;

-- Of two indexes on the same vector, the one that knows the conditions is chosen, also for conditions that the planner does
-- not match to an index by itself. (Without conditions, the other one is.)
CREATE TABLE two (id integer, v vector(12), kind integer, archived boolean);
INSERT INTO two SELECT i, (SELECT array_agg(sin(i * j)) FROM generate_series(1, 12) j), i % 100, i % 20 > 0 FROM generate_series(1, 4000) i;
CREATE INDEX two_filters ON two USING hnsw (v vector_l2_ops, kind, archived);
CREATE INDEX two_plain ON two USING hnsw (v vector_l2_ops);
ANALYZE two;
\set q '\'[1,2,3,4,5,6,7,8,9,10,11,12]\''
EXPLAIN (COSTS OFF) SELECT id FROM two WHERE kind = 3 ORDER BY v <-> :q LIMIT 10;
EXPLAIN (COSTS OFF) SELECT id FROM two WHERE kind IN (3, 5) ORDER BY v <-> :q LIMIT 10;
EXPLAIN (COSTS OFF) SELECT id FROM two WHERE NOT archived ORDER BY v <-> :q LIMIT 10;
EXPLAIN (COSTS OFF) SELECT id FROM two ORDER BY v <-> :q LIMIT 10;
SET hnsw.range_scan = on;
EXPLAIN (COSTS OFF) SELECT id FROM two WHERE kind IN (3, 5) AND v <-> :q < 10;
RESET hnsw.range_scan;
DROP TABLE two;

-- parameters, in custom and generic plans
PREPARE by_number(integer, integer[]) AS SELECT count(*), min(i4), max(i4) FROM
    (SELECT i4 FROM numbers WHERE i4 >= $1 AND i4 = ANY ($2) ORDER BY v <-> '[10,20,30]' LIMIT 1000) x;
EXECUTE by_number(3, '{1,3,5}');
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE by_number(3, '{1,3,5}');
EXECUTE by_number(3, '{1,3,5}');
EXECUTE by_number(4, '{1,3,5}');
EXECUTE by_number(NULL, '{1,3,5}');
EXECUTE by_number(3, NULL);
RESET plan_cache_mode;

-- conditions with values from other tables
CREATE TABLE queries (q vector(3), wanted integer, others integer[]);
INSERT INTO queries SELECT vector_of(i), i, ARRAY[i, i + 1] FROM generate_series(1, 9) i;
ANALYZE queries;
EXPLAIN (COSTS OFF) SELECT * FROM generate_series(1, 3) wanted, LATERAL (SELECT id FROM numbers WHERE i4 = wanted ORDER BY v <-> ARRAY[wanted, 2, 3]::vector LIMIT 3) x;
SELECT wanted, array_agg(i4), array_agg(x.listed) FROM queries, LATERAL (SELECT i4, i4 = ANY (others) AS listed FROM numbers WHERE i4 = wanted ORDER BY v <-> q LIMIT 3) x GROUP BY wanted ORDER BY wanted;
SELECT wanted, bool_and(i4 IN (wanted, wanted + 1)), count(*) FROM queries, LATERAL (SELECT i4 FROM numbers WHERE i4 = ANY (others) ORDER BY v <-> q LIMIT 3) x GROUP BY wanted ORDER BY wanted;
SELECT count(*), bool_and(i4 = 4) FROM (SELECT i4 FROM numbers WHERE i4 = (SELECT wanted FROM queries WHERE wanted = 4) ORDER BY v <-> '[10,20,30]' LIMIT 10) x;

-- joins that are no subqueries: the condition with the other table's value is the join's
SELECT count(*), bool_and(i4 = wanted AND i2 > 5) FROM (SELECT * FROM queries JOIN numbers ON i4 = wanted WHERE i2 > 5 ORDER BY v <-> '[10,20,30]' LIMIT 1000) x;
SELECT count(*) FROM queries JOIN numbers ON i4 = wanted WHERE i2 > 5;

-- row-level security: the policy becomes an index condition
CREATE ROLE regress_quiver_tenant;
GRANT SELECT ON numbers TO regress_quiver_tenant;
ALTER TABLE numbers ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_tenant ON numbers USING (i4 = current_setting('regress.tenant')::integer);
CREATE FUNCTION peek(integer) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE NOTICE 'saw %', $1; RETURN true; END $$;
SET ROLE regress_quiver_tenant;
SET regress.tenant = 3;
EXPLAIN (COSTS OFF) SELECT i4 FROM numbers ORDER BY v <-> '[10,20,30]' LIMIT 3;
SELECT count(*), min(i4), max(i4) FROM (SELECT i4 FROM numbers ORDER BY v <-> '[10,20,30]' LIMIT 1000) x;
-- a condition that could reveal rows comes after the policy
SELECT i4 FROM numbers WHERE peek(i4) ORDER BY v <-> '[10,20,30]' LIMIT 1;
EXPLAIN (COSTS OFF) SELECT i4 FROM numbers WHERE f8 = 0.1 AND i2 IN (8, 9) ORDER BY v <-> '[10,20,30]' LIMIT 3;
RESET ROLE;
DROP POLICY by_tenant ON numbers;
ALTER TABLE numbers DISABLE ROW LEVEL SECURITY;
REVOKE SELECT ON numbers FROM regress_quiver_tenant;
DROP ROLE regress_quiver_tenant;

-- Row-level security as frameworks set it up: a role for all users, and the user in a setting, which a function of another
-- schema reads (PostgREST and what is built on it). Policies on filter columns become index conditions; those with IN
-- (SELECT ...) do not, and = ANY (ARRAY (SELECT ...)) is the same and does.
CREATE SCHEMA auth;
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT (current_setting('request.jwt.claims', true)::json ->> 'sub')::uuid $$;
CREATE TABLE members (user_id uuid, team bigint);
INSERT INTO members SELECT md5((i % 20)::text)::uuid, i % 7 FROM generate_series(1, 40) i;
CREATE TABLE notes (id integer, v vector(3), user_id uuid NOT NULL, team bigint, shared boolean NOT NULL, created timestamptz NOT NULL);
INSERT INTO notes SELECT i, vector_of(i), md5((i % 20)::text)::uuid, i % 7, i % 5 = 0, '2024-01-01'::timestamptz + i * interval '1 hour'
    FROM generate_series(1, 1000) i;
CREATE INDEX notes_v ON notes USING hnsw (v vector_l2_ops, user_id, team, shared, created);
ANALYZE notes, members;
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE ROLE regress_quiver_authenticated;
GRANT USAGE ON SCHEMA auth TO regress_quiver_authenticated;
GRANT SELECT ON notes, members TO regress_quiver_authenticated;
CREATE FUNCTION try_policy(policy text, conditions text[]) RETURNS TABLE (condition text, rows bigint, indexed boolean, same boolean) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE POLICY tried ON notes FOR SELECT TO regress_quiver_authenticated USING (%s)', policy);
    SET LOCAL ROLE regress_quiver_authenticated;
    RETURN QUERY SELECT t.condition, t.rows, t.indexed, t.same FROM try('notes', conditions) t;
    RESET ROLE;
    DROP POLICY tried ON notes;
END $$;
SET request.jwt.claims = '{"role": "authenticated", "sub": "c4ca4238-a0b9-2382-0dcc-509a6f75849b"}';
\set asked '''{true,"created < ''''2024-01-20''''","team IN (1, 3)","shared","NOT shared AND created IS NOT NULL"}'''
SELECT * FROM try_policy('auth.uid() = user_id', :asked);
SELECT * FROM try_policy('(SELECT auth.uid()) = user_id', :asked);
SELECT condition, rows, same FROM try_policy('shared AND user_id IN (SELECT auth.uid())', '{true}');
SELECT * FROM try_policy('team = ANY (ARRAY (SELECT m.team FROM members m WHERE m.user_id = (SELECT auth.uid())))', :asked);
SELECT * FROM try_policy('team IN (SELECT m.team FROM members m WHERE m.user_id = (SELECT auth.uid()))', '{true}');
SELECT condition, rows, same FROM try_policy('user_id = auth.uid() OR shared', '{true}');
-- no user: no rows
SET request.jwt.claims = '{"role": "anon"}';
SELECT * FROM try_policy('auth.uid() = user_id', '{true}');
-- Each user has the own rows, also in one prepared statement with a generic plan.
CREATE POLICY own ON notes FOR SELECT TO regress_quiver_authenticated USING ((SELECT auth.uid()) = user_id);
SET ROLE regress_quiver_authenticated;
SET plan_cache_mode = force_generic_plan;
PREPARE mine(timestamptz) AS SELECT count(*), count(DISTINCT user_id), bool_and(user_id = auth.uid() AND created < $1) AS own
    FROM (SELECT user_id, created FROM notes WHERE created < $1 ORDER BY v <-> '[10,20,30]' LIMIT 1000) x;
SET request.jwt.claims = '{"sub": "c4ca4238-a0b9-2382-0dcc-509a6f75849b"}';
EXECUTE mine('2024-01-20');
SET request.jwt.claims = '{"sub": "c81e728d-9d4c-2f63-6f06-7f89cc14862c"}';
EXECUTE mine('2024-01-10');
RESET plan_cache_mode;
DEALLOCATE mine;
RESET ROLE;
DROP TABLE notes, members;
DROP FUNCTION try_policy, auth.uid;
DROP SCHEMA auth;
DROP ROLE regress_quiver_authenticated;

-- partitions
CREATE TABLE parts (id integer, v vector(3), region integer, tenant integer) PARTITION BY LIST (region);
CREATE TABLE part_1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE part_2 PARTITION OF parts FOR VALUES IN (2);
CREATE INDEX ON parts USING hnsw (v vector_l2_ops, tenant);
INSERT INTO parts SELECT i, vector_of(i), 1 + i % 2, i % 10 FROM generate_series(1, 1000) i;
ANALYZE parts;
SELECT * FROM try('parts', '{tenant = 3,"tenant IN (1, 2)",tenant IS NULL}');
SELECT * FROM try('parts', '{region = 1 AND tenant = 4}');
-- one whose columns have other places; conditions with values from another table, and from a generic plan
CREATE TABLE part_3 (tenant integer, gone integer, region integer, v vector(3), id integer);
ALTER TABLE part_3 DROP gone;
ALTER TABLE parts ATTACH PARTITION part_3 FOR VALUES IN (3);
INSERT INTO parts SELECT i, vector_of(i), 3, i % 10 FROM generate_series(1001, 1500) i;
ANALYZE parts;
SELECT * FROM try('parts', '{tenant = 3,"tenant IN (1, 2) AND region > 1"}');
SELECT wanted, count(*), bool_and(tenant = wanted) FROM queries, LATERAL (SELECT tenant FROM parts WHERE tenant = wanted ORDER BY v <-> q LIMIT 7) x GROUP BY wanted ORDER BY wanted;
SET plan_cache_mode = force_generic_plan;
PREPARE of_region(integer, integer[]) AS SELECT count(*), min(tenant), max(tenant), min(region), max(region) FROM
    (SELECT tenant, region FROM parts WHERE region = $1 AND tenant = ANY ($2) ORDER BY v <-> '[10,20,30]' LIMIT 1000) x;
EXECUTE of_region(3, '{3,7}');
EXECUTE of_region(1, '{4}');
RESET plan_cache_mode;
DEALLOCATE of_region;

-- a partial index, and an expression as a column
CREATE TABLE mixed (id integer, v vector(3), kind text, doc jsonb);
INSERT INTO mixed SELECT i, vector_of(i), CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END, jsonb_build_object('tenant', i % 10) FROM generate_series(1, 1000) i;
CREATE INDEX mixed_partial ON mixed USING hnsw (v vector_l2_ops, ((doc->>'tenant')::integer), kind) WHERE kind = 'a';
ANALYZE mixed;
SELECT * FROM try('mixed', '{kind = ''a'' AND (doc->>''tenant'')::integer = 4,"kind = ''a'' AND (doc->>''tenant'')::integer IN (4, 6)"}');
SELECT condition, rows, same FROM try('mixed', '{(doc->>''tenant'')::integer = 4,kind = ''b'' AND (doc->>''tenant'')::integer = 3}');
-- in custom plans, as long as the condition is known to imply the predicate, and in generic ones
PREPARE of_kind(text, integer) AS SELECT count(*), min(kind), max((doc->>'tenant')::integer) FROM
    (SELECT * FROM mixed WHERE kind = $1 AND (doc->>'tenant')::integer = $2 ORDER BY v <-> '[10,20,30]' LIMIT 1000) x;
EXECUTE of_kind('a', 4);
EXECUTE of_kind('b', 3);
SET plan_cache_mode = force_generic_plan;
EXECUTE of_kind('a', 4);
EXECUTE of_kind('b', 3);
RESET plan_cache_mode;
DEALLOCATE of_kind;
DROP INDEX mixed_partial;
CREATE INDEX mixed_expression ON mixed USING hnsw (((v + '[1,1,1]')::vector(3)) vector_l2_ops, (lower(kind)), (doc->>'tenant'));
SELECT count(*), min(kind) FROM (SELECT kind FROM mixed WHERE lower(kind) = 'b' AND doc->>'tenant' = '3' ORDER BY (v + '[1,1,1]')::vector(3) <-> '[10,20,30]' LIMIT 1000) x;
SELECT wanted, count(*), min(tenant) FROM queries, LATERAL (SELECT doc->>'tenant' AS tenant FROM mixed WHERE doc->>'tenant' = wanted::text
    ORDER BY (v + '[1,1,1]')::vector(3) <-> q LIMIT 5) x GROUP BY wanted ORDER BY wanted;
EXPLAIN (COSTS OFF) SELECT id FROM mixed WHERE lower(kind) = 'b' AND doc->>'tenant' = '3' ORDER BY (v + '[1,1,1]')::vector(3) <-> '[10,20,30]' LIMIT 10;

-- The codes of a partial index are learnt from its own rows, also where few rows of the table are in it. (Each row has a page
-- here, and the first sample, every second page, has none of the rows.) So they decide a range.
CREATE UNLOGGED TABLE rare (id integer, v vector(3), filler text, wanted boolean);
ALTER TABLE rare ALTER filler SET STORAGE plain;
INSERT INTO rare SELECT i, vector_of(i), repeat('x', 5000), i % 8 = 0 FROM generate_series(1, 4096) i;
CREATE INDEX rare_v ON rare USING hnsw (v vector_l2_ops, id) WHERE wanted;
ANALYZE rare;
SELECT count(*) FROM (SELECT FROM rare WHERE wanted AND id BETWEEN 1000 AND 1099 ORDER BY v <-> '[10,20,30]' LIMIT 1000) x;
SELECT rows BETWEEN 12 AND 40 AS decided FROM hnsw_last_scan();
DROP TABLE rare;

-- rows that change
UPDATE numbers SET i4 = 77 WHERE id BETWEEN 500 AND 520;
UPDATE numbers SET i4 = NULL WHERE id BETWEEN 521 AND 530;
INSERT INTO numbers SELECT id + 1000, v, i2, i4 + 100, i8, f4, f8, n, b, r FROM numbers WHERE i4 < 2000000000;
DELETE FROM numbers WHERE id BETWEEN 100 AND 200;
SELECT * FROM try('numbers', '{i4 = 77,i4 = 3,i4 = 103,i4 > 50,i4 IS NULL}');
VACUUM numbers;
SELECT * FROM try('numbers', '{i4 = 77,i4 = 3,i4 = 103,i4 > 50,i4 IS NULL}');
REINDEX INDEX numbers_v;
SELECT * FROM try('numbers', '{i4 = 77,i4 = 3,i4 = 103,i4 > 50,i4 IS NULL}');

-- an index that is created before the rows come; halfvec, bit and sparsevec; other settings of iterative scans
CREATE TABLE later (id integer, v vector(3), tenant integer, at timestamptz);
CREATE INDEX ON later USING hnsw (v vector_cosine_ops, tenant, at);
INSERT INTO later SELECT i, vector_of(i + 1), i % 10, '2024-01-01'::timestamptz + i * interval '1 hour' FROM generate_series(1, 500) i;
ANALYZE later;
SELECT count(*), bool_and(tenant = 4) FROM (SELECT tenant FROM later WHERE tenant = 4 AND at < '2024-01-10' ORDER BY v <=> '[1,2,3]' LIMIT 1000) x;
SELECT count(*) FROM later WHERE tenant = 4 AND at < '2024-01-10';
CREATE TABLE kinds (id integer, h halfvec(3), b bit(8), s sparsevec(3), tenant integer);
INSERT INTO kinds SELECT i, vector_of(i), (i % 256)::bit(8), vector_of(i)::sparsevec, i % 10 FROM generate_series(1, 500) i;
CREATE INDEX ON kinds USING hnsw (h halfvec_l2_ops, tenant);
CREATE INDEX ON kinds USING hnsw (b bit_hamming_ops, tenant);
CREATE INDEX ON kinds USING hnsw (s sparsevec_l2_ops, tenant);
ANALYZE kinds;
SELECT count(*), min(tenant) FROM (SELECT tenant FROM kinds WHERE tenant = 4 ORDER BY h <-> '[1,2,3]' LIMIT 1000) x;
SELECT count(*), min(tenant) FROM (SELECT tenant FROM kinds WHERE tenant = 4 ORDER BY b <~> '10101010' LIMIT 1000) x;
SELECT count(*), min(tenant) FROM (SELECT tenant FROM kinds WHERE tenant = 4 ORDER BY s <-> '{1:1}/3' LIMIT 1000) x;
SELECT count(*), min(tenant) FROM (SELECT tenant FROM kinds WHERE tenant = 4 ORDER BY h <-> NULL LIMIT 1000) x;

-- errors
CREATE INDEX ON numbers USING hnsw (i4);
CREATE INDEX ON numbers USING hnsw (i4, v vector_l2_ops);
CREATE INDEX ON numbers USING hnsw (v vector_l2_ops, v vector_cosine_ops);
CREATE INDEX ON numbers USING hnsw (v vector_l2_ops) INCLUDE (i4);
CREATE INDEX ON numbers USING hnsw (v vector_l2_ops, i2, i4, i8, f4, f8, n, b, r, id);
CREATE INDEX ON mixed USING hnsw (v vector_l2_ops, doc);
CREATE INDEX ON numbers USING hnsw (v vector_l2_ops, i4 DESC);
CREATE UNIQUE INDEX ON numbers USING hnsw (v vector_l2_ops, i4);
CREATE TABLE unhashed (v vector(3), b bit(3)[]);
CREATE INDEX ON unhashed USING hnsw (v vector_l2_ops, b);
SELECT count(*) FROM pg_opclass JOIN pg_am a ON a.oid = opcmethod WHERE amname = 'hnsw' AND opcname LIKE '%filter%' AND amvalidate(pg_opclass.oid);
DROP TABLE numbers, others, sets, queries, parts, mixed, later, kinds, unhashed;
DROP TYPE mood;
DROP DOMAIN rating, labels;
DROP FUNCTION try(text, text[]), try_all, vector_of, peek;

-- A scan that computes exact distances evaluates the expression of the vector only.
CREATE FUNCTION noisy(integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'called'; RETURN $1; END $$;
CREATE TABLE expressions AS SELECT i AS id, i % 7 AS part, ARRAY[i, i % 5, i % 3]::real[] AS a FROM generate_series(1, 200) i;
SET client_min_messages = warning;
CREATE INDEX ON expressions USING hnsw ((a::vector(3)) vector_l2_ops, noisy(part));
RESET client_min_messages;
SET enable_seqscan = off;
SELECT id FROM expressions ORDER BY a::vector(3) <-> '[10,0,1]' LIMIT 3;
SELECT id FROM expressions ORDER BY a::vector(3) <-> '[20,0,2]' LIMIT 3;   -- with the kept state
RESET enable_seqscan;
DROP TABLE expressions;
DROP FUNCTION noisy;
