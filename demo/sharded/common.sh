# Shared by demo/sharded/run and demo/sharded/citus: the clusters, the data in one table, and what is measured.
# The caller sets ROOT (the project's folder) and NAME (of the script).
. "$ROOT/test/lib.sh"
CLUSTERS=${CLUSTERS:-$ROOT/.quiver-sharded}
NODES="coordinator shard1 shard2 shard3"

down() {
    local node
    for node in $NODES; do cluster_down "$CLUSTERS/$node"; done
}
# arguments "$@": --down, or the usage, which are the comments at the start of the script
arguments() {
    case "${1:-}" in
    '') ;;
    --down)
        find_postgres
        down
        rm -rf "$CLUSTERS"
        say "The clusters are gone."
        exit 0
        ;;
    *) sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac
}

# setup [SERVER-OPTION...]: installs quiver, and starts the clusters with a database each.
declare -A socket
setup() {
    step "PostgreSQL, compiler, xsimd" install_postgres
    find_postgres
    version=$("$PG_CONFIG" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/')   # such as 15
    step "build for $("$PG_CONFIG" --version | cut -d' ' -f1,2)" build_extension
    step "install" install_extension
    PSQL=("$PG_BIN/psql" -X -q -v ON_ERROR_STOP=1)
    # A server that is still running has the library of the last build loaded.
    down
    step "start four private clusters in $(basename "$CLUSTERS")/" up "$@"
    up "$@" >/dev/null
    step "create the databases and the extension" create_databases
}
up() {
    local node
    mkdir -p "$CLUSTERS"
    for node in $NODES; do
        cluster_up "$CLUSTERS/$node" -c shared_buffers="${SHARED_BUFFERS:-256MB}" -c maintenance_work_mem=256MB \
            -c max_wal_size=4GB "$@" || return 1
        socket[$node]=$PGHOST
    done
}
at() {   # at NODE PSQL-OPTION...
    local node=$1
    shift
    "${PSQL[@]}" -h "${socket[$node]}" -d demo "$@"
}
create_databases() {
    local node
    for node in $NODES; do
        "${PSQL[@]}" -h "${socket[$node]}" -d postgres -c 'DROP DATABASE IF EXISTS demo' -c 'CREATE DATABASE demo' \
            -c 'ALTER DATABASE demo SET client_min_messages = warning' || return 1
        at "$node" -c 'CREATE EXTENSION quiver' || return 1
    done
}

# ---- the data, in one table on the coordinator ----

text() { case $1 in *.gz) gzip -dc "$1" ;; *) cat "$1" ;; esac; }
# first N: all lines are read, or what writes them would fail.
first() { awk -v n="$1" 'NR <= n'; }
# columns: of the tables with vectors
columns() {
    local dims=384
    [ -z "${VECTORS:-}" ] || dims=$(text "$VECTORS" | first 1 | tr ',' '\n' | wc -l)
    echo "id integer PRIMARY KEY, name text, embedding vector($dims) NOT NULL"
}
load_one_table() {
    local rows=${ROWS:-1000000000}
    at coordinator -c "CREATE TABLE one_table ($(columns))" -c "CREATE TABLE questions ($(columns))" || return 1
    if [ -z "${VECTORS:-}" ]; then
        gzip -dc "$ROOT/demo/packages.tsv.gz" | first "$rows" | cut -f 1,2,4 | at coordinator -c 'COPY one_table FROM stdin' &&
            gzip -dc "$ROOT/demo/questions.tsv.gz" | at coordinator -c 'COPY questions FROM stdin'
    else
        text "$VECTORS" | awk 'NR <= 100 { print NR "\t\t" $0 }' | at coordinator -c 'COPY questions FROM stdin' &&
            text "$VECTORS" | awk -v n="$rows" 'NR > 100 && NR <= n + 100 { print NR "\t\t" $0 }' |
            at coordinator -c 'COPY one_table FROM stdin'
    fi
}
index_one_table() { at coordinator -c 'CREATE INDEX ON one_table USING hnsw (embedding vector_cosine_ops)' -c 'VACUUM ANALYZE'; }
load() {
    step "COPY the vectors into one table" load_one_table
    step "index of one table" index_one_table
}

# ---- queries, in which Q stands for the vector ----

plain() { echo "SELECT id, embedding <=> Q AS d FROM $1 ORDER BY d LIMIT 10"; }
with() { sed "s/\bQ\b/$1/g"; }   # with VECTOR: in place of Q
question() { with "(SELECT embedding FROM questions WHERE id = $1)"; }
# by_id: rows at the same distance in one order, so that two exact searches can be compared
by_id() { sed 's/ORDER BY d/&, id/'; }

# answers(query): the rows that it returns for each question; $1 in it is the vector.
exact_answers() {
    at coordinator -c "
        CREATE FUNCTION answers(query text) RETURNS TABLE (question integer, id integer, d float8) LANGUAGE plpgsql AS \$\$
        DECLARE q record;
        BEGIN
            FOR q IN SELECT * FROM questions ORDER BY questions.id LOOP
                question := q.id;
                FOR id, d IN EXECUTE query USING q.embedding LOOP RETURN NEXT; END LOOP;
            END LOOP;
        END \$\$;
        CREATE TABLE measured (n serial, setup text PRIMARY KEY, recall numeric, one_client numeric, two_clients numeric,
            coordinator numeric, shards numeric);
        SET enable_indexscan = off;
        CREATE TABLE exact AS SELECT * FROM answers('$(plain one_table | by_id | with '$1')')"
}
# compare QUERY: of exact search
compare() {
    local differ
    differ=$(at coordinator -At -c "
        WITH sharded AS MATERIALIZED (SELECT * FROM answers('$(by_id <<<"$1" | with '$1')'))
        SELECT count(*) FROM ((TABLE sharded EXCEPT TABLE exact) UNION ALL (TABLE exact EXCEPT TABLE sharded)) x")
    [ "$differ" = 0 ] || die "Exact searches through the coordinator differ from those of one table in $differ rows."
    say "Exact search (without an index) through the coordinator returns the rows of one table."
}

# cpu NODE...: the CPU time of sessions there that have ended, in ms
cpu() {
    local node pid
    for node in "$@"; do
        pid=$(head -n 1 "$CLUSTERS/$node/data/postmaster.pid")
        sed 's/.*) //' "/proc/$pid/stat"   # fields 16 and 17, less the two that are cut off
    done | awk -v ticks="$(getconf CLK_TCK)" '{ sum += $14 + $15 } END { printf "%.0f", sum * 1000 / ticks }'
}

# measure SETUP QUERY: recall, queries per second with one client and with two, and with two also the CPU time of a query
measure() {
    local setup=$1 query=$2 clients recall questions log before figures=()
    recall=$(at coordinator -At -c "
        WITH farthest AS (SELECT question, max(d) AS d FROM exact GROUP BY 1)
        SELECT round(count(*)::numeric / (SELECT count(*) FROM exact), 3)
        FROM answers('$(with '$1' <<<"$query")') a JOIN farthest f USING (question) WHERE a.d <= f.d") || return 1
    questions=$(at coordinator -At -c 'SELECT count(*) FROM questions')
    for clients in 1 2; do
        if [ "${SECONDS_EACH:-4}" = 0 ]; then
            figures=(NULL NULL NULL NULL)
            break
        fi
        sleep 0.5   # for sessions on the shards to end
        before=($(cpu coordinator) $(cpu shard1 shard2 shard3))
        log=$({ echo "\set id random(1, $questions)" && question :id <<<"$query" | tr '\n' ' '; } |
            "$PG_BIN/pgbench" -h "${socket[coordinator]}" -n -M prepared -T "${SECONDS_EACH:-4}" -c $clients -f - demo 2>&1)
        figures+=("$(sed -n 's/^tps = \([0-9.]*\).*without initial.*/\1/p' <<<"$log")")
    done
    if [ ${#figures[@]} = 2 ]; then
        sleep 0.5
        questions=$(sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p' <<<"$log")
        figures+=("($(cpu coordinator) - ${before[0]}) / $questions.0" "($(cpu shard1 shard2 shard3) - ${before[1]}) / $questions.0")
    fi
    at coordinator -c "INSERT INTO measured (setup, recall, one_client, two_clients, coordinator, shards)
        VALUES ('$setup', $recall, ${figures[0]}, ${figures[1]}, ${figures[2]}, ${figures[3]})"
}
report() {
    say
    say "Recall of the ten nearest; queries per second with one client and with two; CPU time of a query in ms:"
    at coordinator -P footer=off -c "
        SELECT setup, recall, round(one_client) AS \"1 client\", round(one_client / first_value(one_client) OVER w, 2) AS ratio,
               round(two_clients) AS \"2 clients\", round(two_clients / first_value(two_clients) OVER w, 2) AS ratio,
               round(coordinator, 2) AS coordinator, round(shards, 2) AS \"all shards\"
        FROM measured WINDOW w AS (ORDER BY n) ORDER BY n"
    [ "$(at coordinator -At -c 'SELECT min(recall) >= 0.95 FROM measured')" = t ] || die "The recall is below 0.95."
    say "All clusters share this machine, so more shards cannot answer more queries per second here (docs/manual/scaling.md)."
    say
    say "The data stays there:  $PG_BIN/psql -h ${socket[coordinator]} -U postgres demo"
    say "Stop and remove it:    demo/sharded/$NAME --down"
}
