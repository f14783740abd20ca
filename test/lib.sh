# Shared by ./quickstart and ./check: packages, building, a private PostgreSQL cluster.
# The caller sets ROOT (the project's folder).

export LC_ALL=C
say() { printf '%s\n' "$*"; }
die() { printf '%s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else die "This step needs root or sudo: $*"
    fi
}

# step TITLE COMMAND...: runs it with its output in a log, and shows how long it takes. The log is
# printed if it fails.
step() {
    local title=$1 start=$SECONDS log status
    shift
    log=$(mktemp)
    "$@" >"$log" 2>&1 &
    local pid=$!
    if [ -t 1 ]; then
        while kill -0 $pid 2>/dev/null; do
            printf '\r  %-58s %3d s ' "$title" $((SECONDS - start))
            sleep 0.3
        done
        printf '\r'
    fi
    wait $pid && status=0 || status=$?
    if [ $status = 0 ]; then
        printf '  %-58s %3d s\n' "$title" $((SECONDS - start))
    else
        printf '  %-58s failed\n' "$title"
        cat "$log"
    fi
    rm -f "$log"
    return $status
}

# install_packages NAME...: those that are missing.
install_packages() {
    local missing=() name
    for name in "$@"; do
        dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
    done
    [ ${#missing[@]} = 0 ] && return 0
    command -v apt-get >/dev/null || die "Please install: ${missing[*]}"
    as_root apt-get update -q
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
}

# The PostgreSQL that we build for: $PG_CONFIG, or the newest that the distribution's packages have.
# Installs server, headers and compiler where they are missing.
install_postgres() {
    if [ -z "${PG_CONFIG:-}" ]; then
        install_packages postgresql-common make g++ libxsimd-dev gzip
        local version
        version=$(ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null | sed 's|/usr/lib/postgresql/||; s|/.*||' | sort -n | tail -n 1)
        if [ -z "$version" ]; then
            [ -n "$(apt-cache depends postgresql 2>/dev/null)" ] || as_root apt-get update -q
            version=$(apt-cache depends postgresql | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | head -n 1)
        fi
        install_packages "postgresql-$version" "postgresql-server-dev-$version"
    fi
}

find_postgres() {
    if [ -z "${PG_CONFIG:-}" ]; then
        PG_CONFIG=$(ls -d /usr/lib/postgresql/*/bin/pg_config 2>/dev/null | sort -V | tail -n 1)
        [ -n "$PG_CONFIG" ] || die "No PostgreSQL with development files found. Set PG_CONFIG."
    fi
    export PG_CONFIG
    PG_BIN=$("$PG_CONFIG" --bindir)
}

build_extension() { make -C "$ROOT" -j"$(nproc)" "$@" PG_CONFIG="$PG_CONFIG"; }

# Only copies: a build as root would leave root's files in the project.
install_extension() { as_root make -s -C "$ROOT" install PG_CONFIG="$PG_CONFIG" "$@"; }

# ---- a cluster of our own: in CLUSTER, reached through a socket that only its owner can open ----

# The server refuses to run as root: then it runs as the user of the distribution's package.
cluster_user() { if [ "$(id -u)" = 0 ]; then echo postgres; else id -un; fi; }
as_cluster_user() {
    if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi
}

# cluster_up DIR [OPTION...]: creates it where there is none and starts it; options go to the server.
cluster_up() {
    CLUSTER=$1
    shift
    mkdir -p "$CLUSTER"
    if [ "$(id -u)" = 0 ]; then
        chown postgres "$CLUSTER"
        as_cluster_user test -w "$CLUSTER" ||
            die "User postgres, as whom the server runs, can't reach $CLUSTER. Move the project out of a private folder, or run as another user."
    fi
    chmod 700 "$CLUSTER"
    SOCKET=$CLUSTER
    # A socket's path may have 107 characters.
    if [ ${#SOCKET} -gt 80 ]; then
        SOCKET=/tmp/quiver-$(printf '%s' "$CLUSTER" | cksum | cut -d' ' -f1)
        as_cluster_user mkdir -p -m 700 "$SOCKET"
    fi
    if [ ! -s "$CLUSTER/data/PG_VERSION" ]; then
        as_cluster_user "$PG_BIN/initdb" -D "$CLUSTER/data" -A trust -U postgres -E UTF8 --no-locale >/dev/null
    fi
    if ! as_cluster_user "$PG_BIN/pg_ctl" -D "$CLUSTER/data" status >/dev/null; then
        as_cluster_user "$PG_BIN/pg_ctl" -D "$CLUSTER/data" -l "$CLUSTER/log" -w -t 60 \
            -o "-c listen_addresses= -c unix_socket_directories='$SOCKET' -c port=5432 $*" start >/dev/null ||
            { cat "$CLUSTER/log"; return 1; }
    fi
    export PGHOST=$SOCKET PGPORT=5432 PGUSER=postgres
    unset PGDATABASE PGOPTIONS PGSERVICE
}

cluster_down() {
    CLUSTER=$1
    # One that does not run, as after a restart of the machine, is no error.
    if [ -d "$CLUSTER/data" ] && as_cluster_user "$PG_BIN/pg_ctl" -D "$CLUSTER/data" status >/dev/null; then
        as_cluster_user "$PG_BIN/pg_ctl" -D "$CLUSTER/data" -m fast -w stop >/dev/null
    fi
    return 0
}
